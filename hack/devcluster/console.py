"""Progress lines with elapsed times, and errors that say what to do next."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_START = time.monotonic()


class ClusterError(Exception):
    """A failure worth showing to the person who typed the command, without a traceback."""


def say(text: str) -> None:
    """Print one progress line, led by the seconds since this process started."""
    print(f"[{time.monotonic() - _START:6.1f}s] {text}", file=sys.stderr, flush=True)


@contextmanager
def timed(text: str, timings: dict[str, float] | None = None, key: str | None = None) -> Iterator[None]:
    """Run a step; on success print how long it took, and store the seconds under `key`."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    say(f"{text} ({took:.1f} s)")
    if timings is not None and key is not None:
        timings[key] = round(took, 3)
