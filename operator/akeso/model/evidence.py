"""Evidence: what was seen, gathered once, and the typed facts drawn from it, each with source and trust tier."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from akeso.model.alert import Alert
from akeso.model.objects import Object, ObjectRef


class Tier(IntEnum):
    """Who could have written a fact (design/decisions.md C.1). A change never rests on T3 alone."""

    API_SERVER = 0   # computed by the cluster: exit codes, reasons, generations, times
    CONTROLLER = 1   # written by a controller or a cluster admin
    TENANT = 2       # labels, annotations, images, env, specs
    INTERNET = 3     # log text, alert annotations, event messages that echo input


FactValue = bool | int | float | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One typed statement about the target.

    Fields
        name    snake_case, from decide.facts.CATALOGUE
        value   bool, number, string or tuple of strings; durations in seconds, memory in bytes
        source  where it was read, such as `Pod/web-1 .status.containerStatuses[app].lastState`
        tier    who could have written it
    """

    name: str
    value: FactValue
    source: str
    tier: Tier = Tier.API_SERVER


Facts = Mapping[str, Fact]
"""Facts by name. A name that is absent is unknown, which is not the same as false."""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one time series: `values` are (unix seconds, value), oldest first."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]

    @property
    def metric(self) -> str:
        return self.labels.get("__name__", "")


@dataclass(frozen=True, slots=True)
class PastAction:
    """One earlier action on some target, from the ledger. Outcome: Verified, RolledBack, Failed, Escalated, Refused."""

    at: datetime
    workflow: str
    action: str
    target: str  # ObjectRef.key
    outcome: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision may look at, at one moment. The same type live and frozen, so that both decide alike.

    objects  whole objects: target, owners, pods, ReplicaSets, node(s), HPA, PDB, namespace, ...
    events   Event objects about them, core/v1 or events.k8s.io/v1
    logs     (bounded tails) by "namespace/pod/container" and "namespace/pod/container/previous"
    alerts   the alert that started it first, then the others of the same notification
    """

    now: datetime
    alerts: Sequence[Alert]
    target: ObjectRef | None = None
    objects: Sequence[Object] = ()
    events: Sequence[Object] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    series: Sequence[Series] = ()
    history: Sequence[PastAction] = ()
    missing: Mapping[str, str] = field(default_factory=dict)  # what could not be read, and why

    @property
    def alert(self) -> Alert:
        return self.alerts[0]

    def of_kind(self, kind: str) -> list[Object]:
        return [o for o in self.objects if o.get("kind") == kind]

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        for obj in self.of_kind(kind):
            meta: Mapping[str, Any] = obj.get("metadata") or {}
            if meta.get("name") == name and (not namespace or meta.get("namespace", "") == namespace):
                return obj
        return None

    @property
    def target_object(self) -> Object | None:
        target = self.target
        return None if target is None else self.find(target.kind.kind, target.name, target.namespace)
