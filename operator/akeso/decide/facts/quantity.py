"""Kubernetes quantities as facts: a number, or nothing where the text is no quantity."""
from __future__ import annotations

from typing import Any

from akeso.model.quantity import parse_quantity


def quantity(value: Any) -> float | None:
    """`128Mi` -> 134217728.0, `250m` -> 0.25; None for what is no quantity: an unknown fact, not an error."""
    try:
        return float(parse_quantity(value))
    except (ValueError, OverflowError):
        return None
