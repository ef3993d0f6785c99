"""What the kernel says of a process: its CPU, its memory, its children."""
from __future__ import annotations

import os
from pathlib import Path


def spent(pid: int) -> float:
    """Seconds of CPU, with those of children that ended; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, float]:
    """MiB by the names of smaps_rollup (Rss, Pss, Private_Dirty); zeros where it is gone."""
    found = {"Rss": 0.0, "Pss": 0.0, "Private_Dirty": 0.0}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return found
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) / 1024
    return found


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
