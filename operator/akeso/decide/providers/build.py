"""From a ModelEndpoint to somebody who can be asked. A new provider is one module and one line here."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from akeso.decide.providers.openai_compatible import OpenAICompatible
from akeso.decide.providers.probe import Probe
from akeso.decide.providers.rules import Rules
from akeso.errors import GiveUp, InvalidInput
from akeso.model.api.endpoint import ModelEndpointSpec
from akeso.ports import Ask


class Provider(Ask, Protocol):
    """An endpoint that can also be probed. `timeout_seconds`: the deadline of one call."""

    timeout_seconds: float

    async def probe(self, *, timeout: float = 30.0) -> Probe:
        """Never raises for what the endpoint does."""
        ...


def build(
    spec: ModelEndpointSpec, credential: str | None, ca: str | None, features: Sequence[str] = (),
) -> Provider:
    """`features`: those of the endpoint's last probe. Raises GiveUp, InvalidInput with what to change."""
    match spec.provider:
        case "Rules":
            return Rules()
        case "OpenAICompatible":
            if not spec.url:
                raise InvalidInput("The ModelEndpoint has no `url`", next_step="set `spec.url`")
            return OpenAICompatible(
                url=spec.url, model=spec.model, credential=credential, ca=ca, features=features,
                timeout_seconds=float(spec.timeout_seconds or 30), temperature=float(spec.temperature or 0),
                max_concurrency=spec.max_concurrency or 4, requests_per_minute=spec.requests_per_minute,
                context_tokens=spec.context_tokens)
        case other:
            raise GiveUp(f"Provider {other} is not supported yet",
                         next_step="use OpenAICompatible (llama.cpp, Ollama and vLLM serve it) or Rules")
