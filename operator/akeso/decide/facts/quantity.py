"""Kubernetes quantities as numbers."""
from __future__ import annotations

import re
from typing import Any, Final

_UNITS: Final = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}
_FORM: Final = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?")


def quantity(value: Any) -> float | None:
    """`128Mi` -> 134217728.0, `250m` -> 0.25; None for what is no quantity."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _FORM.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 64 else None
    return None if match is None else float(match.group(1)) * _UNITS[match.group(2) or ""]
