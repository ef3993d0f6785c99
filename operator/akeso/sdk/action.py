"""The contract of an action. One action, one file, one test file; found by the entry point group `akeso.actions`."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from akeso.errors import Refused
from akeso.model.evidence import Facts, Snapshot
from akeso.model.objects import Kind, Object, ObjectRef
from akeso.model.plan import Change, EffectClass, Reversibility, Verb

__all__ = [
    "Action", "Change", "Context", "EffectClass", "Health", "Kind", "Object", "ObjectRef", "Params", "Refused",
    "Reversibility", "Rule", "Snapshot", "Verb", "Verification",
]


class Params(BaseModel):
    """Base of an action's parameters: frozen, unknown keys are errors; durations in seconds, sizes as quantities."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Rule:
    """One RBAC rule that an action needs. Roles and the operator's preflight are generated from these."""

    group: str
    resource: str  # may carry a subresource: "pods/eviction"
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What an action may look at. Everything was read before; an action does no I/O.

    target    the object to act on, raw, read by a quorum GET just now
    snapshot  the evidence (related objects included: ReplicaSets, pods, node, HPA, PDB ...)
    facts     typed facts drawn from the snapshot
    """

    now: datetime
    ref: ObjectRef
    target: Object
    snapshot: Snapshot
    facts: Facts = field(default_factory=dict)


class Health(StrEnum):
    PENDING = "Pending"      # ask again until the deadline
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"  # it will not get better by waiting


@dataclass(frozen=True, slots=True)
class Verification:
    health: Health
    message: str


class Action(ABC, Generic[P]):
    """A typed, bounded change that knows how to be checked and undone.

    An action without a declared effect class, reversibility, RBAC needs and verification does not register.
    """

    name: ClassVar[str]                       # verb_object: restart_deployment
    title: ClassVar[str]                      # one line for people
    params: ClassVar[type[Params]] = Params
    target_kinds: ClassVar[tuple[Kind, ...]]  # what it can act on; an alert's owner chain is searched for one of these
    needs: ClassVar[tuple[Rule, ...]]         # RBAC of the Workflow's ServiceAccount, writes and reads
    effect: ClassVar[EffectClass]
    reversibility: ClassVar[Reversibility]
    cluster_scoped: ClassVar[bool] = False    # True: only from a ClusterWorkflow
    verify_within_seconds: ClassVar[int] = 300

    @abstractmethod
    def plan(self, ctx: Context, params: P) -> Change | None:
        """The exact change, absolute; None where the object already is as wanted.

        Raises `Refused(Reason.PRECONDITION_FAILED, why)` where the action must not be done to this object now.
        """

    @abstractmethod
    def verify(self, before: Object, now: Object | None, related: Sequence[Object], params: P) -> Verification:
        """Object state only. `before`: the object when planned; `now`: as it is (None: gone); `related`: its pods
        and ReplicaSets now. The alert is checked by the engine, after the object."""

    def undo(self, before: Object, now: Object, change: Change) -> Change | None:
        """The inverse change, absolute; None where there is none. The default restores the values of `change.before`
        at their pointers when the change was a patch and reversibility is Exact or Compensable."""
        if change.verb is not Verb.PATCH or not change.before:
            return None
        patch: list[Mapping[str, Any]] = [
            {"op": "remove", "path": pointer} if old is None else {"op": "add", "path": pointer, "value": old}
            for pointer, old in change.before.items()
        ]
        return Change(Verb.PATCH, change.target, f"undo: {change.summary}", patch=patch)
