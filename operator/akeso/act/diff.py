"""What a dry run would change, for people: a unified diff without noise and without secrets."""
from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from akeso.model import names
from akeso.model.objects import Object
from akeso.model.redact import redact_object

_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_NOISY_ANNOTATIONS = (names.LAST_ACTION, names.FENCE, "kubectl.kubernetes.io/last-applied-configuration")

MAX_LINES = 400
"""A longer diff is cut: it is read by a person and stored with the plan."""


def comparable(obj: Object) -> dict[str, Any]:
    """The object without status and without what every write changes: equal means that nothing would change."""
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _NOISE}
    kept = {k: v for k, v in (meta.pop("annotations", None) or {}).items() if k not in _NOISY_ANNOTATIONS}
    if kept:
        meta["annotations"] = kept
    return {**{k: v for k, v in obj.items() if k != "status"}, "metadata": meta}


def unified(before: Object, after: Object) -> str:
    """Unified diff of the two as redacted YAML; empty where they are comparably equal.

    Hidden values that change are named by their place, one line each: a person must not approve them unseen.
    """
    old, new = comparable(before), comparable(after)
    shown_old, shown_new = redact_object(old), redact_object(new)
    lines = list(difflib.unified_diff(_lines(shown_old), _lines(shown_new), "before", "after", lineterm="", n=4))
    lines += [f"# a hidden value changes: {place}" for place in _hidden_changes(old, new, shown_old, shown_new)]
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"# {len(lines) - MAX_LINES} more lines"]
    return "\n".join(lines)


def _lines(obj: Mapping[str, Any]) -> list[str]:
    return yaml.safe_dump(obj, sort_keys=True, default_flow_style=False, width=10_000).splitlines()


def _hidden_changes(old: Any, new: Any, shown_old: Any, shown_new: Any, place: str = "") -> Iterator[str]:
    if old == new:
        return
    levels = (old, new, shown_old, shown_new)
    if all(isinstance(level, Mapping) for level in levels):
        for key in old.keys() & new.keys() & shown_old.keys() & shown_new.keys():
            yield from _hidden_changes(old[key], new[key], shown_old[key], shown_new[key], f"{place}.{key}")
    elif all(isinstance(level, list) for level in levels):
        for index, (a, b, c, d) in enumerate(zip(*levels, strict=False)):
            yield from _hidden_changes(a, b, c, d, f"{place}[{index}]")
    elif shown_old == shown_new:
        yield place
