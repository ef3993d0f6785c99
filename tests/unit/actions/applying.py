"""Applies a planned patch as `act.patches` and the API server would, and asks an action for its refusal."""
from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

from akeso.errors import Refused
from akeso.model.names import LAST_ACTION, Reason
from akeso.sdk.action import Action, Change, Context, Object
from akeso.testing.builders import context


def plan(action: Action[Any], ctx: Context, **params: Any) -> Change | None:
    """The plan with parameters as a Workflow writes them; planning twice gives the same, and changes nothing."""
    target, chosen = copy.deepcopy(ctx.target), action.params.model_validate(params)
    change = action.plan(ctx, chosen)
    assert action.plan(ctx, chosen) == change
    assert ctx.target == target
    return change


def change_of(action: Action[Any], ctx: Context, **params: Any) -> Change:
    change = plan(action, ctx, **params)
    assert change is not None
    return change


def refusal(action: Action[Any], ctx: Context, **params: Any) -> str:
    """The words of the refusal, which must be one."""
    with pytest.raises(Refused) as caught:
        plan(action, ctx, **params)
    assert caught.value.reason == Reason.PRECONDITION_FAILED
    return caught.value.what


def verification(
    action: Action[Any], before: Object, now: Object | None, *related: Object, **params: Any,
) -> tuple[str, str]:
    found = action.verify(before, now, related, action.params.model_validate(params))
    return str(found.health), found.message


def applied(obj: Object, change: Change) -> dict[str, Any]:
    """The object after the change: room for annotations, patch, marker; a new generation where the spec changed."""
    new: dict[str, Any] = copy.deepcopy(dict(obj))
    new["metadata"].setdefault("annotations", {})
    for op in change.patch:
        _apply(new, str(op["op"]), str(op["path"]), copy.deepcopy(op.get("value")))
    new["metadata"]["annotations"][LAST_ACTION] = "0123"
    if "generation" in new["metadata"] and new.get("spec") != obj.get("spec"):
        new["metadata"]["generation"] += 1
    return new


def _apply(obj: Any, op: str, path: str, value: Any) -> None:
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    for key in parents:
        obj = obj[int(key)] if isinstance(obj, list) else obj[key]  # a missing parent is an error, as in RFC 6902
    if op == "remove":
        del obj[last]
    elif op == "replace":
        assert last in obj
        obj[last] = value
    else:
        assert op == "add"
        obj[last] = value


def comparable(obj: Object) -> Any:
    """The object without marker, generation and empty maps, which the API server drops."""
    new: Any = copy.deepcopy(dict(obj))
    new["metadata"].get("annotations", {}).pop(LAST_ACTION, None)
    new["metadata"].pop("generation", None)
    return _dense(new)


def _dense(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _dense(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    return [_dense(item) for item in value] if isinstance(value, list) else value


def assert_undo_restores(action: Action[Any], before: Object, change: Change) -> None:
    """Applying the change and then its undo gives the very object back."""
    now = applied(before, change)
    assert comparable(now) != comparable(before)
    back = action.undo(before, now, change)
    assert back is not None
    assert back.target == change.target
    assert comparable(applied(now, back)) == comparable(before)


def mangled(obj: Object) -> list[dict[str, Any]]:
    """The object with each of its fields, at any depth, missing or of a wrong type (uid and kind excepted)."""
    found: list[dict[str, Any]] = []
    for path in _paths(obj, ()):
        if path[0] in ("apiVersion", "kind") or path in (("metadata",), ("metadata", "uid"), ("metadata", "name")):
            continue
        for wrong in (None, "garbage", 7, [], [None, 7, "x"], {"a": 1}, True, -1, "9" * 400):
            copied: Any = copy.deepcopy(dict(obj))
            place = copied
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            found.append(copied)
        place.pop(path[-1])
        found.append(copied)
    return found


def _paths(value: Any, above: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, item in items for p in [(*above, key), *_paths(item, (*above, key))]]


def assert_survives(action: Action[Any], *objects: Object, **params: Any) -> None:
    """Whatever is missing or of a wrong type in any of the objects: a plan, nothing, or a refusal; never a crash."""
    chosen = action.params.model_validate(params)
    for index, obj in enumerate(objects):
        for wrong in mangled(obj):
            seen = [*objects[:index], wrong, *objects[index + 1:]]
            change = None
            with contextlib.suppress(Refused):
                change = action.plan(context(*seen), chosen)
            assert change is None or change.target.name
            action.verify(objects[0], wrong, seen, chosen)
