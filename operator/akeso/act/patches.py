"""The JSON Patch of an effect: what must still be true, the change, the marker and the fence, in one atomic request.

The argument is design/reliability.md A.4: predicate and write are evaluated together by the API server, and the write
makes the predicate false for every later copy of itself.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from akeso.model import names
from akeso.model.objects import Object, dig
from akeso.model.plan import EffectClass, Intent, Plan

Operation = Mapping[str, Any]

_ANNOTATIONS = "/metadata/annotations"


def versioned(plan: Plan) -> bool:
    """True where only resourceVersion can tell that nothing changed: kinds without generation (class C6), and writes
    outside spec, which do not move the generation and so would not make a copy of themselves void."""
    return (
        plan.generation == 0 or plan.effect is EffectClass.VERSIONED_WRITE
        or not any(str(op.get("path", "")).startswith("/spec") for op in plan.change.patch)
    )


def effect(intent: Intent, current: Object) -> list[Operation]:
    """The whole patch for the object as just read. Uid and generation are the plan's, not those of `current`."""
    plan = intent.plan
    if versioned(plan):
        unchanged = _test("/metadata/resourceVersion", dig(current, "metadata", "resourceVersion"))
    else:
        unchanged = _test("/metadata/generation", plan.generation)
    marks = {names.LAST_ACTION: intent.action_id, names.FENCE: _fence(intent, intent.epoch)}
    return [
        _test("/metadata/uid", plan.uid), unchanged, *_fence_as_read(current), *_room_for_annotations(current),
        *plan.change.patch, *_annotate(marks),
    ]


def fence(intent: Intent, epoch: int, current: Object) -> list[Operation]:
    """Only the fence (rule 6): after it, no copy of an older effect can land."""
    return [
        _test("/metadata/uid", intent.plan.uid),
        _test("/metadata/resourceVersion", dig(current, "metadata", "resourceVersion")),
        *_room_for_annotations(current), *_annotate({names.FENCE: _fence(intent, epoch)}),
    ]


def fence_of(obj: Object, run_id: str) -> int:
    """The epoch under which that run wrote the object last; 0 where another run did, or nobody.

    Epochs count the claims of one run, so those of two runs cannot be compared; a fence of another run, and garbage,
    are only tested to be still the ones that were read.
    """
    text, _, run = str(dig(obj, "metadata", "annotations", names.FENCE, default="")).partition(".")
    return int(text) if run == run_id and text.isascii() and text.isdigit() and len(text) < 19 else 0


def _fence(intent: Intent, epoch: int) -> str:
    return f"{epoch}.{intent.run_id}"


def unchanged_values(before: Mapping[str, Any], current: Object) -> bool:
    """True where every value that the plan was made from is still there (None: still absent)."""
    return bool(before) and all(at(current, pointer) == value for pointer, value in before.items())


def at(obj: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), or None where there is none."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(obj, Sequence) and not isinstance(obj, str):
            if not key.isdigit() or int(key) >= len(obj):
                return None
            obj = obj[int(key)]
        elif isinstance(obj, Mapping):
            obj = obj.get(key)
        else:
            return None
    return obj


def escape(key: str) -> str:
    """A key as one part of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _fence_as_read(current: Object) -> list[Operation]:
    # A test against null passes only where the key is absent (measured on 1.36.3), so a fence that appears in between
    # is caught too, and a map of annotations that appears in between is not overwritten by _room_for_annotations.
    if _no_annotations(current):
        return [_test(_ANNOTATIONS, None)]
    return [_test(f"{_ANNOTATIONS}/{escape(names.FENCE)}", dig(current, "metadata", "annotations", names.FENCE))]


def _room_for_annotations(current: Object) -> list[Operation]:
    return [{"op": "add", "path": _ANNOTATIONS, "value": {}}] if _no_annotations(current) else []


def _no_annotations(current: Object) -> bool:
    return "annotations" not in (current.get("metadata") or {})


def _annotate(values: Mapping[str, str]) -> list[Operation]:
    return [{"op": "add", "path": f"{_ANNOTATIONS}/{escape(key)}", "value": value} for key, value in values.items()]


def _test(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}
