"""JSON Patch operations on absolute values, the before-image, and a restore that leaves others' changes alone."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from akeso.sdk.action import Change, Object, ObjectRef, Verb

_ABSENT = object()


def pointer(*keys: str | int) -> str:
    """A JSON pointer (RFC 6901): `pointer("metadata", "annotations", "a/b")` is `/metadata/annotations/a~1b`."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def value_at(obj: Any, path: str) -> Any:
    """The value at a pointer, None where there is none."""
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(obj, Mapping):
            obj = obj.get(key)
        elif isinstance(obj, list | tuple) and key.isdecimal() and int(key) < len(obj):
            obj = obj[int(key)]
        else:
            return None
    return obj


def set_values(target: Object, ref: ObjectRef, summary: str, values: Mapping[str, Any]) -> Change:
    """A patch that makes each pointer hold its value (None: be absent); missing parents are created.

    /metadata/annotations itself is never created here: `act.patches` makes room for it before it adds the marker.
    """
    patch: list[Mapping[str, Any]] = []
    made = {"/metadata/annotations"}
    for path, value in values.items():
        old = value_at(target, path)
        if value is None:
            if old is not None:
                patch.append({"op": "remove", "path": path})
            continue
        patch += _parents(target, path, made)
        patch.append({"op": "add", "path": path, "value": value})
    return Change(Verb.PATCH, ref, summary, patch=patch, before={path: value_at(target, path) for path in values})


def _parents(target: Object, path: str, made: set[str]) -> Sequence[Mapping[str, Any]]:
    parts = path.split("/")
    found: list[Mapping[str, Any]] = []
    for end in range(2, len(parts)):
        parent = "/".join(parts[:end])
        if parent not in made and value_at(target, parent) is None:
            made.add(parent)
            found.append({"op": "add", "path": parent, "value": {}})
    return found


def restore(now: Object, change: Change) -> Change | None:
    """The change that puts the before-image back, as far as each field still holds what the change wrote.

    None where a field holds something else by now: it is somebody else's, and a person decides.
    """
    if change.verb is not Verb.PATCH or not change.before:
        return None
    written = {str(op["path"]): op.get("value", _ABSENT) for op in change.patch}
    for path in change.before:
        if path in written:
            wanted = None if written[path] is _ABSENT else _normal(written[path])
            if _normal(value_at(now, path)) != wanted:
                return None
    return set_values(now, change.target, f"undo: {change.summary}", change.before)


def _normal(value: Any) -> Any:
    """Empty maps, lists and nulls are dropped by the API server, so they count as absent."""
    if isinstance(value, Mapping):
        kept = {key: _normal(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])} or None
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value] or None
    return value
