"""What a bench found: figures with their floor and goal, as a table and as JSON."""
from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    floor  the same of the bare alternative, measured in the same run; None where there is none
    ratio  value / floor
    goal   what it is held against, as text such as ">= 0.25" (of the ratio where there is a floor, else of the value)
    ok     None where no goal was set
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    goal: str = ""
    ok: bool | None = None


def figure(name: str, value: float, unit: str, *, floor: float | None = None, goal: str = "") -> Figure:
    """A figure judged by its goal: `>= X`, `<= X`, or `< X`."""
    ratio = value / floor if floor else None
    return Figure(
        name, round(value, 3), unit, None if floor is None else round(floor, 3),
        None if ratio is None else round(ratio, 3), goal,
        _holds(goal, value if ratio is None else ratio) if goal else None)


def _holds(goal: str, value: float) -> bool:
    sign, _, bound = goal.partition(" ")
    limit = float(bound)
    return {">=": value >= limit, "<=": value <= limit, "<": value < limit}[sign]


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile; `share` between 0 and 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def machine() -> dict[str, Any]:
    """Enough to compare two reports."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {"cpu": model, "cores": os.cpu_count(), "memoryMiB": memory, "kernel": platform.release(),
            "python": platform.python_version()}


def write(path: Path, figures: Sequence[Figure], seed: int) -> None:
    body = {"figures": [asdict(f) for f in figures], "seed": seed, "machine": machine()}
    path.write_text(json.dumps(body, indent=1) + "\n")


def table(figures: Sequence[Figure]) -> str:
    """For people, as Markdown."""
    lines = ["| figure | value | floor | ratio | goal | |", "|---|---:|---:|---:|---|---|"]
    for f in figures:
        said = "" if f.ok is None else "ok" if f.ok else "MISSED"
        cells = (f.name, f"{_number(f.value)} {f.unit}", _number(f.floor), _number(f.ratio), f.goal, said)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
