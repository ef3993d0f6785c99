"""metav1.Condition lists: set one without losing the others or moving a transition time that did not change."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from akeso.clock import format_time

ConditionStatus = Literal["True", "False", "Unknown"]
Condition = Mapping[str, Any]


def set_condition(
    conditions: Sequence[Condition], type_: str, status: ConditionStatus, reason: str, message: str,
    *, generation: int, now: datetime,
) -> list[Condition]:
    """The list with that condition set. `lastTransitionTime` moves only where the status changed."""
    old = next((c for c in conditions if c.get("type") == type_), None)
    moved = old is None or old.get("status") != status
    new = {
        "type": type_, "status": status, "reason": reason, "message": message[:32768], "observedGeneration": generation,
        "lastTransitionTime": format_time(now) if moved or old is None else old["lastTransitionTime"],
    }
    return [c for c in conditions if c.get("type") != type_] + [new]


def condition(conditions: Sequence[Condition], type_: str) -> Condition | None:
    return next((c for c in conditions if c.get("type") == type_), None)
