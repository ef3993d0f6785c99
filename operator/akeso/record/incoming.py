"""A batch of alerts on its way into the ledger: identities that are known before the insert, and duplicates folded."""
from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from akeso.model.alert import Alert
from akeso.record.codec import bounded, clean_text

_SIGNALS = uuid.UUID("6f0c9c0e-5f2f-4a55-9a1e-2f8c1f4e7a01")
_RUNS = uuid.UUID("6f0c9c0e-5f2f-4a55-9a1e-2f8c1f4e7a02")
_MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Match:
    """A Workflow that an alert starts. `workflow_key` is "ns/Workflow/name" or "/ClusterWorkflow/name"."""

    workflow_key: str
    namespace: str         # of the WorkflowRun
    run_name_prefix: str
    trigger: str
    workflow: Mapping[str, Any]
    agent: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One alert of a notification with the Workflows that it matched."""

    alert: Alert
    matches: Sequence[Match] = ()


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one alert, after the commit.

    new       this delivery made the signal
    run_ids   runs that it created, or (resolved) woke; none where an earlier delivery did
    rejected  why Postgres can never hold it; empty for a saved one
    """

    signal_id: str
    new: bool
    run_ids: tuple[str, ...] = ()
    rejected: str = ""


@dataclass(slots=True)
class Folded:
    """All deliveries of one signal in a batch: the last one says how it stands; any firing one starts its runs."""

    id: str
    alert: Alert
    deliveries: int = 0
    matches: dict[str, Match] = field(default_factory=dict)  # of firing deliveries, by workflow_key
    matched: set[str] = field(default_factory=set)


def signal_id(source: str, fingerprint: str, starts_at: datetime) -> str:
    """The id of an episode, the same in every replica and for every delivery."""
    episode = f"{bounded(source)}\n{bounded(fingerprint)}\n{starts_at.astimezone(UTC).isoformat()}"
    return str(uuid.uuid5(_SIGNALS, episode))


def run_id(signal: str, workflow_key: str) -> str:
    return str(uuid.uuid5(_RUNS, f"{signal}\n{bounded(workflow_key)}"))


def run_name(prefix: str, signal: str, workflow_key: str) -> str:
    """At most 63 characters, the same for every delivery. 48 bits: with 32, some of 100,000 runs would share a name."""
    digest = hashlib.sha256(f"{signal}{bounded(workflow_key)}".encode()).hexdigest()[:12]
    return f"{clean_text(prefix)[:_MAX_NAME - 13].rstrip('-.')}-{digest}"


def fold(batch: Sequence[Incoming]) -> tuple[list[str], list[Folded]]:
    """The signal id of each item, and one Folded for each id, sorted by id: one lock order for every batch."""
    ids: list[str] = []
    folded: dict[str, Folded] = {}
    for item in batch:
        alert = item.alert
        sid = signal_id(alert.source, alert.fingerprint, alert.starts_at)
        ids.append(sid)
        one = folded.get(sid)
        if one is None:
            one = folded[sid] = Folded(sid, alert)
        one.alert = alert
        one.deliveries += 1
        for match in item.matches:
            one.matched.add(clean_text(match.workflow_key))
            if alert.status == "firing":
                one.matches.setdefault(match.workflow_key, match)
    return ids, [folded[sid] for sid in sorted(folded)]


@dataclass(frozen=True, slots=True)
class Rows:
    """The three JSON parameters of `save_alerts`. Definitions are sent once, however many runs carry them."""

    signals: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    definitions: list[dict[str, Any]]


def rows(folded: Sequence[Folded]) -> Rows:
    runs: list[dict[str, Any]] = []
    definitions: list[dict[str, Any]] = []
    known: dict[tuple[int, int], int] = {}  # identities stay valid: the batch holds the objects
    for one in folded:
        for match in one.matches.values():
            identity = (id(match.workflow), id(match.agent))
            if identity not in known:
                known[identity] = len(definitions)
                definitions.append({"n": len(definitions), "workflow": match.workflow, "agent": match.agent})
            runs.append({
                "id": run_id(one.id, match.workflow_key), "signal_id": one.id, "namespace": match.namespace,
                "name": run_name(match.run_name_prefix, one.id, match.workflow_key),
                "workflow_key": bounded(match.workflow_key), "trigger": match.trigger, "definition": known[identity],
            })
    return Rows([_signal_row(one) for one in folded], runs, definitions)


def _signal_row(one: Folded) -> dict[str, Any]:
    alert = one.alert
    return {
        "id": one.id, "source": bounded(alert.source), "fingerprint": bounded(alert.fingerprint),
        "starts_at": alert.starts_at, "ends_at": alert.ends_at, "firing": alert.status == "firing",
        "labels": alert.labels, "annotations": alert.annotations, "generator_url": alert.generator_url,
        "group_key": alert.group_key, "receiver": alert.receiver, "deliveries": one.deliveries,
        "matched": sorted(one.matched),
    }
