"""From alerts to ledger rows: each alert with the Workflows that it starts, pinned to what they say now."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from akeso.ingest.definitions import Definitions
from akeso.ingest.matching import Matched, match
from akeso.model.alert import Alert
from akeso.model.api.kinds import Resource
from akeso.record.incoming import Incoming, Match


class Router:
    """A definition is pinned once per generation: runs of a storm share the object, and the ledger stores it faster."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._pinned: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def route(self, alerts: Sequence[Alert]) -> list[Incoming]:
        """What `record.intake` commits. A resolved alert starts nothing; it closes its signal."""
        return [
            Incoming(alert, tuple(self.as_match(alert, m) for m in match(alert, self._definitions))
                     if alert.status == "firing" else ())
            for alert in alerts]

    def as_match(self, alert: Alert, matched: Matched) -> Match:
        resource = matched.workflow
        return Match(
            workflow_key=workflow_key(resource.kind, resource.namespace, resource.name),
            namespace=run_namespace(alert, matched), run_name_prefix=resource.name, trigger=matched.trigger.name,
            workflow=self._pin(resource), agent=self._pin(matched.agent) if matched.agent else {})

    def _pin(self, resource: Resource[Any]) -> Mapping[str, Any]:
        known = self._pinned.get(resource.uid)
        if known and known[0] == resource.generation:
            return known[1]
        made = pinned(resource)
        self._pinned[resource.uid] = (resource.generation, made)
        return made


def pinned(resource: Resource[Any]) -> Mapping[str, Any]:
    """A definition as a run carries it for all its life."""
    return {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name, "uid": resource.uid,
            "generation": resource.generation, "spec": resource.spec.as_object()}


def run_namespace(alert: Alert, matched: Matched) -> str:
    """Where the WorkflowRun lives: beside its Workflow; that of a ClusterWorkflow beside its Agent, the platform team's
    place, because the alert's own namespace label may name one that does not exist."""
    resource = matched.workflow
    return resource.namespace or getattr(resource.spec.agent_ref, "namespace", "") or "default"


def workflow_key(kind: str, namespace: str, name: str) -> str:
    """How the ledger names a definition."""
    return f"{namespace}/{kind}/{name}"
