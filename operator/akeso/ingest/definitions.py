"""The catalogue of Workflows, Agents and ModelEndpoints in memory, fed by the watches, indexed for alerts."""
from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from akeso.errors import InvalidInput
from akeso.ingest.patterns import Matches, alertnames, compile_matcher
from akeso.model.api.agent import AgentSpec
from akeso.model.api.endpoint import ModelEndpointSpec
from akeso.model.api.kinds import Resource
from akeso.model.api.trigger import Trigger
from akeso.model.api.workflow import WorkflowSpec
from akeso.model.conditions import condition
from akeso.model.objects import dig

WORKFLOWS: Final = ("Workflow", "ClusterWorkflow")
_ANY: Final = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """One alert trigger, compiled."""

    workflow: Resource[Any]
    trigger: Trigger
    matches: tuple[Matches, ...]
    buckets: tuple[tuple[str, str], ...]


class Definitions:
    """What the cluster defines, as the watches last said. Not for several threads.

    synced  set by the handlers once every kind was listed; before that, no match means nothing
    broken  key of a Workflow → why one of its triggers can never match
    """

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self.broken: dict[str, str] = {}
        self._resources: dict[tuple[str, str, str], Resource[Any]] = {}
        self._ready: dict[tuple[str, str, str], bool] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._index: dict[tuple[str, str], list[Watched]] = {}
        self._watched: dict[tuple[str, str, str], list[Watched]] = {}

    def put(self, resource: Resource[Any]) -> None:
        """Add it, or replace what had its name. Never raises: a trigger that cannot work is in `broken`."""
        self.remove(resource.kind, resource.namespace, resource.name)
        place = (resource.kind, resource.namespace, resource.name)
        self._resources[place] = resource
        if resource.kind in WORKFLOWS:
            self._watched[place] = list(self._compiled(resource))
            for watched in self._watched[place]:
                for bucket in watched.buckets:
                    self._index.setdefault(bucket, []).append(watched)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Forget it; nothing happens where it is not known."""
        place = (kind, namespace, name)
        gone = self._resources.pop(place, None)
        self._ready.pop(place, None)
        if gone is not None:
            self.broken.pop(gone.key, None)
        for watched in self._watched.pop(place, ()):
            for bucket in watched.buckets:
                left = [w for w in self._index[bucket] if w is not watched]
                if left:
                    self._index[bucket] = left
                else:
                    del self._index[bucket]

    def get(self, kind: str, namespace: str, name: str) -> Resource[Any] | None:
        return self._resources.get((kind, namespace, name))

    def of_kind(self, *kinds: str) -> list[Resource[Any]]:
        return [r for (kind, _, _), r in self._resources.items() if kind in kinds]

    def agent(self, namespace: str, name: str) -> Resource[AgentSpec] | None:
        return self.get("Agent", namespace, name)

    def endpoint(self, namespace: str, name: str) -> Resource[ModelEndpointSpec] | None:
        return self.get("ModelEndpoint", namespace, name)

    def set_ready(self, kind: str, namespace: str, name: str, *, ready: bool) -> None:
        """What the reconciler found, which is newer than the status in the object."""
        if (kind, namespace, name) in self._resources:
            self._ready[kind, namespace, name] = ready

    def not_ready(self, resource: Resource[Any]) -> str:
        """Why it must not be started, or nothing. What nobody judged yet in this generation is no objection."""
        found = condition(dig(resource.status, "conditions", default=[]), "Ready")
        verdict = self._ready.get((resource.kind, resource.namespace, resource.name))
        current = found is not None and found.get("observedGeneration", resource.generation) == resource.generation
        if verdict is True or (verdict is None and not (current and found and found.get("status") == "False")):
            return ""
        told = f"{found.get('reason')}: {found.get('message')}"[:300] if current and found else "see its conditions"
        return f"it is not ready ({told})"

    def put_namespace(self, name: str, labels: Mapping[str, str], *, gone: bool = False) -> None:
        """The labels of a Namespace, or that it is gone."""
        if gone:
            self._namespaces.pop(name, None)
        else:
            self._namespaces[name] = dict(labels)

    def namespace(self, name: str) -> Mapping[str, str] | None:
        """The labels of that Namespace, or None where it is not known."""
        return self._namespaces.get(name)

    def watching(self, alertname: str, namespace: str) -> Iterable[Watched]:
        """Triggers that may match: of ClusterWorkflows, and of the Workflows of that namespace."""
        for space in {namespace, _ANY}:
            for name in {alertname, _ANY}:
                yield from self._index.get((space, name), ())

    def elsewhere(self, alertname: str) -> int:
        """How many triggers watch that alert by its name, in whatever namespace; for the explanation of a miss."""
        return sum(len(found) for (_, name), found in self._index.items() if name == alertname)

    def _compiled(self, resource: Resource[Any]) -> Iterable[Watched]:
        spec: WorkflowSpec = resource.spec
        for trigger in spec.triggers:
            if trigger.alert is None:
                continue
            matchers = trigger.alert.matchers
            try:
                matches = tuple(compile_matcher(m) for m in matchers)
            except InvalidInput as error:
                self.broken[resource.key] = f"trigger {trigger.name}: {error.what}: {error.why}"
                continue
            names = alertnames(matchers) or (_ANY,)
            yield Watched(resource, trigger, matches, tuple((resource.namespace, name) for name in names))
