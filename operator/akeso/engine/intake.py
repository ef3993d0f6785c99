"""From alerts to ledger rows: which Workflows match, and the definitions that their runs are pinned to."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from akeso.ingest.matching import match
from akeso.model.alert import Alert
from akeso.model.api.kinds import Resource
from akeso.model.api.workflow import ClusterWorkflowSpec, WorkflowSpec
from akeso.record.incoming import Incoming, Match

if TYPE_CHECKING:
    from akeso.ingest.matching import Definitions


class Router:
    """Turns alerts into `Incoming`s. Pinned definitions are made once per generation, so that a storm shares them."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._pinned: dict[str, tuple[tuple[int, int], tuple[dict[str, Any], dict[str, Any]]]] = {}

    def route(self, alerts: Sequence[Alert]) -> list[Incoming]:
        return [Incoming(alert, tuple(self._matches(alert))) for alert in alerts]

    def _matches(self, alert: Alert) -> list[Match]:
        found = []
        for one in match(alert, self._definitions) if alert.status == "firing" else ():
            resource = one.workflow
            workflow, agent = self._pin(resource)
            found.append(Match(
                workflow_key=f"{resource.namespace}/{resource.kind}/{resource.name}",
                namespace=resource.namespace or self._home(resource, alert), run_name_prefix=resource.name,
                trigger=one.trigger.name, workflow=workflow, agent=agent))
        return found

    @staticmethod
    def _home(resource: Resource[Any], alert: Alert) -> str:
        """Where the WorkflowRun of a ClusterWorkflow lives: beside the patient, or beside the Agent for a node."""
        spec = resource.spec
        beside = spec.agent_ref.namespace if isinstance(spec, ClusterWorkflowSpec) and spec.agent_ref else "default"
        return alert.labels.get("namespace") or beside

    def _pin(self, resource: Resource[WorkflowSpec]) -> tuple[dict[str, Any], dict[str, Any]]:
        agent = agent_of(self._definitions, resource)
        stamp = (resource.generation, agent.generation if agent else 0)
        known = self._pinned.get(resource.uid)
        if known and known[0] == stamp:
            return known[1]
        made = pinned(self._definitions, resource)
        self._pinned[resource.uid] = (stamp, made)
        return made


def agent_of(definitions: Definitions, resource: Resource[WorkflowSpec]) -> Resource[Any] | None:
    spec = resource.spec
    if spec.agent_ref is None:
        return None
    namespace = spec.agent_ref.namespace if isinstance(spec, ClusterWorkflowSpec) and spec.agent_ref else resource.namespace
    return definitions.agent(namespace, spec.agent_ref.name)


def pinned(definitions: Definitions, resource: Resource[WorkflowSpec]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Workflow and its Agent as they are now: what a run carries for all its life."""
    agent = agent_of(definitions, resource)
    workflow = {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name, "uid": resource.uid,
                "generation": resource.generation, "spec": resource.spec.as_object()}
    return workflow, {"name": agent.name, "namespace": agent.namespace, "generation": agent.generation,
                      "spec": agent.spec.as_object()} if agent else {}
