"""What every custom resource is made of: the base model, CEL rules that Python checks too, names, references.

A Python default is what the operator assumes when the field is left out; it never becomes a `default:` of the CRD,
because a default in the schema makes `kubectl apply` and Argo CD see drift for ever (design/kubernetes-api.md 0.3).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
INT32_MAX = 2147483647

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME)]
"""A DNS label: names of steps, triggers, parameters, namespaces."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME)]
"""Name of an object of ours. Stricter than Kubernetes: no dots, so that it fits in a label of a child."""
Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
Percent = Annotated[int, Field(ge=0, le=100)]
Cel = Annotated[str, Field(min_length=1, max_length=1024)]
Mode = Literal["Apply", "DryRun", "Suggest"]
WorkflowKind = Literal["Workflow", "ClusterWorkflow"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule of a schema.

    rule        CEL over `self` (and `oldSelf`), as it goes into `x-kubernetes-validations`.
    message     what the API server tells the user: "must", back-quoted fields.
    field_path  where the error is shown, like `.steps`; empty for the object itself.
    holds       the same rule in Python, for files that never meet an API server. None where it compares with oldSelf.
    """

    rule: str
    message: str
    field_path: str = ""
    holds: Callable[[Any], bool] | None = None

    def as_schema(self) -> dict[str, str]:
        where = {"fieldPath": self.field_path} if self.field_path else {}
        return {"rule": self.rule, "message": self.message, **where}


class ApiModel(BaseModel):
    """Base of everything under `spec` and `status`. Frozen. Unknown fields are ignored: readers lag behind writers."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, alias_generator=to_camel, extra="ignore")
    RULES: ClassVar[Sequence[Rule]] = ()

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        broken = [r.message for r in self.RULES if r.holds is not None and not r.holds(self)] + _duplicates(self)
        if broken:
            raise PydanticCustomError("rule", "{broken}", {"broken": "; ".join(broken)})
        return self

    def as_object(self) -> dict[str, Any]:
        """JSON for the API server: CRD names, only what was set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def _duplicates(model: ApiModel) -> list[str]:
    """Lists with `x-kubernetes-list-map-keys` in which two items share the key; the API server refuses them too."""
    found = []
    for name, info in type(model).model_fields.items():
        extra: Any = info.json_schema_extra
        if isinstance(extra, dict) and (keys := extra.get("x-kubernetes-list-map-keys")):
            seen = [getattr(item, keys[0]) for item in getattr(model, name)]
            if len(set(seen)) < len(seen):
                found.append(f"`{info.alias}` must not hold two items with the same `{keys[0]}`")
    return found


def exactly_one(*names: str) -> Rule:
    """Exactly one of these fields is set."""
    has = ", ".join(f"has(self.{to_camel(n)})" for n in names)
    return Rule(
        rule=f"[{has}].exists_one(x, x)",
        message="must set exactly one of " + ", ".join(f"`{to_camel(n)}`" for n in names),
        holds=lambda self: sum(getattr(self, n) is not None for n in names) == 1,
    )


def set_once(field: str) -> Rule:
    """The field may be set later, then neither changed nor removed."""
    return Rule(
        rule=f"!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field})",
        message=f"`{field}` may not be changed once set",
    )


def fixed(field: str, instead: str) -> Rule:
    """The field may not be added, changed or removed after creation."""
    return Rule(
        rule=f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        message=f"`{field}` may not be changed; {instead}",
    )


def immutable(message: str) -> dict[str, Any]:
    """Schema extra of a required field that never changes."""
    return {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": message}]}


def map_list(key: str = "name") -> dict[str, Any]:
    """Schema extra of a list whose items have an identity: server-side apply merges by `key`, which must be unique."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


SET_LIST: dict[str, Any] = {"x-kubernetes-list-type": "set"}
ATOMIC_LIST: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
ATOMIC_MAP = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})


class LocalRef(ApiModel):
    """Reference to an object in the same namespace."""

    model_config = ATOMIC_MAP
    name: ObjectName = Field(description="Name of the object in the same namespace.")


class SecretKeyRef(ApiModel):
    """Key of a Secret in the same namespace."""

    model_config = ATOMIC_MAP
    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")] = Field(
        description="Name of the Secret.")
    key: str = Field(description="Key inside the Secret.", min_length=1, max_length=253)


class Parameter(ApiModel):
    """One parameter."""

    name: Label = Field(description="Name of the parameter.")
    description: str = Field("", description="What it is for.", max_length=1024)
    value: str | None = Field(None, description="Value. In a Workflow this is the default.", max_length=4096)


class Condition(ApiModel):
    """One condition, in the metav1.Condition schema."""

    type: str = Field(
        description="Type of condition in CamelCase.", max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$")
    status: Literal["True", "False", "Unknown"] = Field(description="Status of the condition.")
    observed_generation: int | None = Field(
        None, description="metadata.generation the condition was set from.", ge=0)
    last_transition_time: datetime = Field(description="When the condition last changed status.")
    reason: str = Field(
        description="One CamelCase word naming the cause.", min_length=1, max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    message: str = Field(description="Sentence for people: what happened, and what to do next.", max_length=32768)


class Status(ApiModel):
    """What the operator last saw."""

    observed_generation: int = Field(-1, description="metadata.generation the operator last acted on.", ge=-1)
    conditions: tuple[Condition, ...] = Field(
        (), max_length=32, json_schema_extra=map_list("type"),
        description="Conditions, keyed by type. See the reason for what happened and the message for what to do next.")
