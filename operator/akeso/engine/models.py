"""The models that an Agent may ask: its ModelEndpoints in order, or the embedded rules where it names none."""
from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from akeso.decide.ask import FallbackChain
from akeso.decide.providers.build import Provider, build
from akeso.errors import AkesoError, Forbidden, GiveUp, ModelAway
from akeso.model.api.agent import AgentSpec
from akeso.model.api.common import SecretKeyRef
from akeso.model.api.endpoint import ModelEndpointSpec
from akeso.model.api.kinds import Resource
from akeso.model.objects import Kind, dig
from akeso.ports import Ask

if TYPE_CHECKING:
    from akeso.act.breakers import Breakers
    from akeso.ingest.definitions import Definitions
    from akeso.kube.cluster import Cluster

SECRET = Kind("", "v1", "Secret", "secrets")  # only ever read by name, where an endpoint names one
RULES = ModelEndpointSpec(provider="Rules", model="rules")


class Models:
    """Builds an `Ask` once per generation of a ModelEndpoint; credentials are read again with each generation."""

    def __init__(self, definitions: Definitions, cluster: Cluster, breakers: Breakers) -> None:
        self._definitions = definitions
        self._cluster = cluster
        self._breakers = breakers
        self._built: dict[str, tuple[tuple[str, int, tuple[str, ...]], Provider]] = {}

    async def chain(self, namespace: str, agent: AgentSpec | None) -> FallbackChain:
        """Agent's endpoints in order of preference. One that cannot be built counts as away: the next is asked."""
        endpoints: list[tuple[str, Ask]] = []
        for ref in agent.model_endpoint_refs if agent else ():
            resource = self._definitions.get("ModelEndpoint", namespace, ref.name)
            try:
                ask: Ask = await self.endpoint(resource) if resource else _Absent(
                    f"ModelEndpoint {ref.name} does not exist")
            except AkesoError as error:
                ask = _Absent(str(error))
            endpoints.append((ref.name, ask))
        if not endpoints:
            endpoints = [("rules", build(RULES, None, None))]
        return FallbackChain(endpoints, lambda name: self._breakers.guard(f"model/{namespace}/{name}"))

    async def endpoint(self, resource: Resource[ModelEndpointSpec]) -> Provider:
        """Raises GiveUp where its provider is not supported or its Secret cannot be read."""
        known = self._built.get(resource.key)
        features = tuple(dig(resource.status, "features", default=()))  # what the last probe found to work
        version = (resource.uid, resource.generation, features)  # a namesake made anew begins at generation 1 again
        if known and known[0] == version:
            return known[1]
        spec = resource.spec
        credential = await self._secret(resource.namespace, spec.credentials_secret_ref)
        ask = build(spec, credential, await self._secret(resource.namespace, spec.ca_secret_ref), features)
        self._built[resource.key] = (version, ask)
        return ask

    async def _secret(self, namespace: str, ref: SecretKeyRef | None) -> str | None:
        if ref is None:
            return None
        try:
            secret = await self._cluster.get(SECRET, namespace, ref.name)
        except Forbidden as error:
            raise GiveUp(f"Secret {ref.name} may not be read",
                         why="the operator reads no Secret that was not lent to it",
                         next_step=f"akeso rbac --secret {ref.name} -n {namespace} | kubectl apply -f -") from error
        value = dig(secret, "data", ref.key)
        if value is None:
            raise GiveUp(
                f"Secret {ref.name} has no key {ref.key}",
                next_step=f"kubectl -n {namespace} create secret generic {ref.name} --from-literal={ref.key}=VALUE")
        try:
            return base64.b64decode(value, validate=True).decode().strip()
        except (ValueError, TypeError) as error:
            raise GiveUp(f"Key {ref.key} of Secret {ref.name} is no text", why=type(error).__name__) from None


class _Absent:
    """Stands in the chain for an endpoint that cannot be asked, so that the verdict tells why."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def ask(self, *_: Any, **__: Any) -> Any:
        raise ModelAway(self._why)
