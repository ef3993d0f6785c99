"""What the actions have in common: parameters as people write them, refusals, reads of hostile objects."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from akeso.model.names import Reason
from akeso.model.objects import dig
from akeso.sdk.action import Object, Params, Refused


class CamelParams(Params):
    """Parameters written in a Workflow's `with` as Kubernetes writes fields: `toRevision`."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def refuse(why: str, next_step: str = "") -> NoReturn:
    """The action must not be done to this object now."""
    raise Refused(Reason.PRECONDITION_FAILED, why, next_step=next_step)


def integer(obj: Any, *path: str | int, default: int = 0) -> int:
    """A count or a generation; the default where it is missing or not a whole number."""
    value = dig(obj, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def text(obj: Any, *path: str | int) -> str:
    """A string; empty where it is missing or something else."""
    value = dig(obj, *path)
    return value if isinstance(value, str) else ""


def mappings(obj: Any, *path: str | int) -> list[Mapping[str, Any]]:
    """The items of a list that are objects; empty where the list is missing or something else."""
    value = dig(obj, *path)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def mapping(obj: Any, *path: str | int) -> Mapping[str, Any]:
    """An object; empty where it is missing or something else."""
    value = dig(obj, *path)
    return value if isinstance(value, Mapping) else {}


def condition_of(obj: Any, type_: str) -> Mapping[str, Any]:
    """The status condition of that type; empty where there is none."""
    return next((c for c in mappings(obj, "status", "conditions") if c.get("type") == type_), {})


def controller(obj: Any) -> Mapping[str, Any]:
    """The owner reference of the controller; empty where there is none."""
    return next((o for o in mappings(obj, "metadata", "ownerReferences") if o.get("controller") is True), {})


def controller_uid(obj: Any) -> str:
    """The uid of the controlling owner; empty where there is none."""
    return text(controller(obj), "uid")


def require_live(target: Object) -> None:
    """Refuse an object without uid (nothing could be bound to it) or one that is being deleted."""
    if not text(target, "metadata", "uid"):
        refuse("the object carries no uid, so a change cannot be bound to it")
    if dig(target, "metadata", "deletionTimestamp") is not None:
        refuse("the object is being deleted")
