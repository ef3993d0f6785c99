"""Printing: plain tables as kubectl prints them, JSON for programs. Untrusted text loses its control characters."""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import typer

from akeso.clock import parse_time


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [list(header), *([clean(c) for c in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        typer.echo("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def as_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def clean(text: object) -> str:
    """No escape sequences, no bidirectional controls: names and messages of strangers reach this terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def age(text: str | None, now: datetime) -> str:
    start = parse_time(text)
    if start is None:
        return "<unknown>"
    seconds = max(0, int((now - start).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
