"""JSON Patch (RFC 6902) as the API server applies it: test, add, replace and remove; a test against null passes where
the key is absent."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

_ABSENT = object()


def apply(obj: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A patched copy. Raises ValueError where a test fails or a path leads nowhere; then nothing was changed."""
    result: dict[str, Any] = deepcopy(dict(obj))
    for operation in operations:
        *parents, last = [p.replace("~1", "/").replace("~0", "~") for p in str(operation["path"]).split("/")[1:]]
        holder: Any = result
        for part in parents:
            holder = _child(holder, part)
            if holder is _ABSENT:
                break
        _one(holder, last, operation)
    return result


def _one(holder: Any, last: str, operation: Mapping[str, Any]) -> None:
    kind, there = operation["op"], _child(holder, last)
    if kind == "test":
        if (None if there is _ABSENT else there) != operation.get("value"):
            raise ValueError(f"testing value {operation['path']} failed")
    elif holder is _ABSENT or (kind in ("remove", "replace") and there is _ABSENT):
        raise ValueError(f"{kind} operation does not apply: {operation['path']} is missing")
    elif kind == "remove":
        del holder[int(last) if isinstance(holder, list) else last]
    elif isinstance(holder, list) and kind == "add":
        holder.insert(len(holder) if last == "-" else int(last), deepcopy(operation["value"]))
    else:
        holder[int(last) if isinstance(holder, list) else last] = deepcopy(operation["value"])


def _child(holder: Any, part: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(part, _ABSENT)
    if isinstance(holder, list) and part.isdigit() and int(part) < len(holder):
        return holder[int(part)]
    return _ABSENT
