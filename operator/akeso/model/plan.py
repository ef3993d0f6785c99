"""A plan: the exact change, absolute and conditional on what it was decided about."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from akeso.model.objects import ObjectRef


class Verb(StrEnum):
    PATCH = "patch"      # JSON patch of spec fields, with tests on uid and generation (or resourceVersion)
    DELETE = "delete"    # with a uid precondition
    EVICT = "evict"      # the eviction subresource, uid compared first and sent as precondition
    NOTIFY = "notify"    # leaves the cluster: at least once
    COLLECT = "collect"  # reads only


class EffectClass(StrEnum):
    """What an action promises about its effect when anything dies (design/reliability.md A.4)."""

    SPEC_WRITE = "C1"        # exactly once: kind with metadata.generation
    DELETE = "C2"            # at most once per uid
    EVICT = "C3"             # at most once per uid, and no disruption budget burned
    OUTSIDE = "C5"           # at least once
    VERSIONED_WRITE = "C6"   # exactly once: compare-and-swap on resourceVersion, kind without generation
    READ = "C0"              # changes nothing


class Reversibility(StrEnum):
    EXACT = "Exact"                # restored from the before-image
    COMPENSABLE = "Compensable"    # an inverse exists, side effects remain
    IRREVERSIBLE = "Irreversible"
    NOTHING = "Nothing"            # there is nothing to undo


@dataclass(frozen=True, slots=True)
class Change:
    """One request to the API server (or one notification), planned as an absolute post-state, never `+1`.

    patch    JSON Patch operations without the precondition tests: `act.perform` adds those and the marker.
    body     what a NOTIFY sends or a COLLECT asks for.
    before   values of the touched fields before the change, by JSON pointer (None: was absent).
    """

    verb: Verb
    target: ObjectRef
    summary: str
    patch: Sequence[Mapping[str, Any]] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A change bound to the object that it was decided about. `hash` is what a person approves."""

    action: str
    params: Mapping[str, Any]
    change: Change
    uid: str
    generation: int          # 0 for kinds without metadata.generation
    resource_version: str
    effect: EffectClass
    reversibility: Reversibility
    service_account: str     # "namespace:name" of the ServiceAccount that is impersonated
    diff: str = ""           # unified diff of the server-side dry run

    @property
    def hash(self) -> str:
        """sha256 over everything that makes the plan what it is: change, target uid, generation, identity."""
        bound = [
            self.action, self.params, self.change.verb, self.change.target.key, self.uid, self.generation,
            list(self.change.patch), self.change.body, self.change.grace_seconds, self.service_account,
        ]
        return hashlib.sha256(json.dumps(bound, sort_keys=True, default=str).encode()).hexdigest()


class IntentState(StrEnum):
    """The life of one effect in the ledger. Everything but INTENT is final."""

    INTENT = "Intent"      # committed before the first byte was sent
    APPLIED = "Applied"
    NOOP = "Noop"          # the plan was already true: nothing was sent
    STALE = "Stale"        # the object is no longer what was decided about: nothing was changed by us
    FAILED = "Failed"      # the API server said no


@dataclass(frozen=True, slots=True)
class Intent:
    """One committed intention. `action_id` is also the marker on the object."""

    action_id: str
    run_id: str
    step: str
    epoch: int
    plan: Plan
    state: IntentState = IntentState.INTENT
    message: str = ""
