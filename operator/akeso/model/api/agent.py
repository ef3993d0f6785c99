"""Agent: which models may decide, what they may do, within which limits."""
from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from akeso.model.api.common import ATOMIC_LIST, SET_LIST, ApiModel, Count, LocalRef, Percent, Status

Glob = Annotated[str, Field(description="Glob.", min_length=1, max_length=127)]
Autonomy = Literal["Observe", "Suggest", "Approve", "Autonomous"]
Source = Annotated[
    Literal["Events", "Logs", "Metrics", "Objects", "History", "Runbooks"], Field(description="Source.")]


class AgentActions(ApiModel):
    """What it may do."""

    allow: tuple[Glob, ...] = Field(
        (), description="Names or globs, like restart_*.", max_length=128, json_schema_extra=SET_LIST)
    deny: tuple[Glob, ...] = Field(
        (), description="Names or globs; wins over allow.", max_length=128, json_schema_extra=SET_LIST)
    require_approval: tuple[Glob, ...] = Field(
        (), description="Names or globs a person must agree to.", max_length=128, json_schema_extra=SET_LIST)


class AgentLimits(ApiModel):
    """Blast radius and rate."""

    max_concurrent_runs: int | None = Field(None, description="Runs at once.", ge=1, le=1000)
    max_actions_per_hour: int | None = Field(None, description="Actions per hour.", ge=0, le=10000)
    max_targets_per_run: int | None = Field(None, description="Objects one run may change.", ge=1, le=1000)
    max_tokens_per_run: int | None = Field(None, description="Model tokens one run may use.", ge=0, le=10000000)


class CircuitBreaker(ApiModel):
    """Stops the agent after failures."""

    failure_threshold: int | None = Field(
        None, description="Failures in a row that open the circuit.", ge=1, le=100)
    reset_seconds: int | None = Field(None, description="Pause before a trial.", ge=1, le=86400)


class EndpointRef(LocalRef):
    """ModelEndpoint."""


class AgentSpec(ApiModel):
    """What the agent may think with and do."""

    description: str = Field("", description="What the agent is for.", max_length=4096)
    suspend: bool = Field(False, description="Take the agent out of service.")
    autonomy: Autonomy = Field(
        "Approve", description="Observe records, Suggest proposes, Approve acts after a person agrees, Autonomous "
                               "acts. Approve when left out.")
    model_endpoint_refs: tuple[EndpointRef, ...] = Field(
        min_length=1, max_length=8, json_schema_extra=ATOMIC_LIST,
        description="Model endpoints in order of preference; the next is used when one is not Ready or its circuit "
                    "is open.")
    instructions: str = Field("", description="Standing instructions for the model.", max_length=16384)
    min_confidence_percent: Percent | None = Field(
        None, description="Below this the agent escalates to people.")
    actions: AgentActions = Field(default_factory=AgentActions, description="What it may do.")
    evidence: tuple[Source, ...] = Field(
        (), description="What it may read.", max_length=8, json_schema_extra=SET_LIST)
    limits: AgentLimits = Field(default_factory=AgentLimits, description="Blast radius and rate.")
    circuit_breaker: CircuitBreaker = Field(
        default_factory=CircuitBreaker, description="Stops the agent after failures.")


class AgentStatus(Status):
    """What the operator last saw."""

    circuit: str | None = Field(None, description="Closed, Open or HalfOpen.", max_length=16)
    active_model: str | None = Field(None, description="ModelEndpoint in use.", max_length=253)
    active_runs: Count | None = Field(None, description="Runs going on.")
    decisions: int | None = Field(None, description="Decisions, ever.", ge=0)
    success_percent: Percent | None = Field(None, description="Runs that fixed the problem, 30 days.")
