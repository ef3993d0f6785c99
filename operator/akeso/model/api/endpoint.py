"""ModelEndpoint: where a language model is and how to call it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from akeso.model.api.common import SET_LIST, ApiModel, Count, Rule, SecretKeyRef, Status

Provider = Literal["InProcess", "OpenAICompatible", "Ollama", "AnthropicCompatible", "Bedrock", "Rules"]
_LOCAL = ("InProcess", "Bedrock", "Rules")


class ModelEndpointSpec(ApiModel):
    """Where the model is and how to call it."""

    RULES: ClassVar[Sequence[Rule]] = (
        Rule("self.provider in ['InProcess','Bedrock','Rules'] || has(self.url)",
             "`url` must be set for this provider", ".url",
             lambda self: self.provider in _LOCAL or self.url is not None),
    )

    provider: Provider = Field(description="Protocol.")
    model: str = Field(description="Name of the model at the provider.", min_length=1, max_length=256)
    url: str | None = Field(
        None, description="Base URL. May be empty for InProcess, Bedrock and Rules.", max_length=2048,
        pattern="^https?://")
    credentials_secret_ref: SecretKeyRef | None = Field(
        None, description="Credentials: key of a Secret in the same namespace.")
    ca_secret_ref: SecretKeyRef | None = Field(
        None, description="Certificate authority: key of a Secret in the same namespace.")
    timeout_seconds: int | None = Field(None, description="Deadline of one call.", ge=1, le=600)
    max_concurrency: int | None = Field(None, description="Calls at once.", ge=1, le=1000)
    requests_per_minute: int | None = Field(None, description="Rate limit.", ge=1, le=100000)
    context_tokens: int | None = Field(None, description="Tokens of context to use.", ge=512, le=2000000)
    temperature: str | None = Field(
        None, description="Decimal between 0 and 2, as a string: specs hold no floats.", max_length=5,
        pattern=r"^([01](\.[0-9]{1,2})?|2(\.0{1,2})?)$")
    probe_period_seconds: int | None = Field(
        None, description="How often to check that the endpoint answers.", ge=5, le=3600)


class ModelEndpointStatus(Status):
    """What the operator last saw."""

    latency_milliseconds: Count | None = Field(None, description="Median of recent calls.")
    tokens_per_second: Count | None = Field(None, description="Median of recent calls.")
    digest: str | None = Field(
        None, description="Digest of the model, where the provider tells.", max_length=128)
    features: tuple[Annotated[str, Field(description="Feature.", max_length=32)], ...] = Field(
        (), description="What was found to work.", max_length=16, json_schema_extra=SET_LIST)
