"""Facts about what was already done to this target."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from akeso.decide.facts.view import View, fact, name_of, namespace_of, path_of
from akeso.model.evidence import Fact, PastAction

DAY: Final = 86400.0
_FUTILE: Final = frozenset({"Failed", "RolledBack", "Escalated"})


def facts(view: View) -> Iterator[Fact]:
    past = [p for p in view.snapshot.history if _mine(view, p) and 0 <= (view.now - p.at).total_seconds() <= DAY]
    if not past:
        return
    source = f"ledger: actions on {path_of(view.workload or view.target)}"
    futile = Counter(p.action for p in past if p.outcome in _FUTILE)
    yield fact("ineffective_actions", tuple(sorted(a for a, n in futile.items() if n >= 2)), source)
    done = [p for p in past if p.outcome != "Refused"]
    yield fact("memory_raises", sum(1 for p in done if p.action == "set_memory_limit"), source)
    yield fact("restarts_by_us", sum(1 for p in done if p.action.startswith("restart_")), source)
    recent = [p for p in done if p.action == "rollback_deployment" and (view.now - p.at).total_seconds() <= 3600]
    yield fact("rolled_back_lately", bool(recent), source)


def _mine(view: View, past: PastAction) -> bool:
    """By ObjectRef.key: `group/Kind/namespace/name`."""
    for obj in (view.workload, view.target, *view.pods):
        if obj is not None and past.target.endswith(f"{obj.get('kind')}/{namespace_of(obj)}/{name_of(obj)}"):
            return True
    return False
