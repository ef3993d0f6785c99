"""WorkflowRun: one execution of a Workflow."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from akeso.model.api.common import (
    ATOMIC_LIST,
    ATOMIC_MAP,
    ApiModel,
    Count,
    Mode,
    ObjectName,
    Parameter,
    Percent,
    Rule,
    Status,
    WorkflowKind,
    fixed,
    immutable,
    map_list,
)

ANEW = "create a new WorkflowRun"


class WorkflowRef(ApiModel):
    """The Workflow to run."""

    model_config = ATOMIC_MAP
    kind: WorkflowKind = Field("Workflow", description="Workflow when left out.")
    name: ObjectName = Field(description="Name.")


class RunAlert(ApiModel):
    """The alert."""

    fingerprint: str | None = Field(None, description="Fingerprint of the alert.", max_length=64)
    group_key: str | None = Field(None, description="groupKey of the notification.", max_length=2048)
    starts_at: datetime | None = Field(None, description="Start of the alert.")
    labels: dict[str, Annotated[str, Field(description="Value.", max_length=2048)]] = Field(
        default_factory=dict, description="Labels.", max_length=64)
    annotations: dict[str, Annotated[str, Field(description="Value.", max_length=8192)]] = Field(
        default_factory=dict, description="Annotations.", max_length=64)
    generator_url: str | None = Field(
        None, alias="generatorURL", description="Link to the rule.", max_length=4096)


class RunTrigger(ApiModel):
    """What started the run; written by the operator."""

    type: Literal["Alert", "Schedule", "Event", "Resource", "Manual", "Workflow"] = Field(
        description="Kind of trigger.")
    name: str | None = Field(None, description="Name of the trigger in the Workflow.", max_length=63)
    signal_id: str | None = Field(
        None, alias="signalID", description="Signal of the operator's database that started the run: one "
                                            "deduplicated episode of an alert.", max_length=64)
    alert: RunAlert | None = Field(None, description="The alert.")
    user: str | None = Field(None, description="Who asked, for Manual.", max_length=256)


class WorkflowRunSpec(ApiModel):
    """What to run. Fixed at creation, apart from desiredState and ttlSecondsAfterFinished."""

    RULES: ClassVar[Sequence[Rule]] = (
        Rule("has(self.parameters) == has(oldSelf.parameters)",
             f"`parameters` may not be added or removed; {ANEW}"),
        fixed("mode", ANEW),
        fixed("trigger", ANEW),
    )

    workflow_ref: WorkflowRef = Field(
        description="The Workflow to run.",
        json_schema_extra=immutable(f"`workflowRef` may not be changed; {ANEW}"))
    parameters: tuple[Parameter, ...] = Field(
        (), description="Parameters, keyed by name.", max_length=32,
        json_schema_extra={**map_list(), **immutable(f"`parameters` may not be changed; {ANEW}")})
    mode: Mode | None = Field(None, description="Overrides the mode of the Workflow, only towards less.")
    desired_state: Literal["Running", "Suspended", "Cancelled", "RolledBack"] = Field(
        "Running", description="Running when left out. Suspended pauses before the next step; Cancelled stops; "
                               "RolledBack undoes what was done.")
    trigger: RunTrigger | None = Field(None, description="What started the run; written by the operator.")
    ttl_seconds_after_finished: Count | None = Field(
        None, description="Delete the object this long after the end; the database keeps the record. As in Job.")


class RunStep(ApiModel):
    """State of one step."""

    name: str = Field(description="Name.", max_length=63)
    phase: str = Field(
        description="Pending, Running, WaitingForApproval, Succeeded, Failed, Skipped, RolledBack. Readers must "
                    "accept new values.", max_length=32)
    reason: str | None = Field(None, description="One CamelCase word.", max_length=128)
    message: str | None = Field(None, description="What happened, and what to do next.", max_length=2048)
    attempts: Count | None = Field(None, description="Attempts so far.")
    start_time: datetime | None = Field(None, description="Start.")
    completion_time: datetime | None = Field(None, description="End.")
    confidence_percent: Percent | None = Field(None, description="Confidence of the model, calibrated.")


class RunDecision(ApiModel):
    """The deciding answer of the model."""

    model: str | None = Field(None, description="Model.", max_length=256)
    confidence_percent: Percent | None = Field(None, description="Calibrated confidence.")
    summary: str | None = Field(None, description="Why, in one paragraph.", max_length=2048)


class RunRollback(ApiModel):
    """How to undo it."""

    available: bool | None = Field(None, description="True while it can be undone.")
    expiration_time: datetime | None = Field(None, description="Until when.")


class StoryLine(ApiModel):
    """One thing that happened."""

    at: datetime = Field(description="When.")
    kind: str = Field(
        description="alert, evidence, question, answer, gate, action or verification. Readers must accept new "
                    "values.", max_length=32)
    reason: str = Field("", description="One CamelCase word.", max_length=128)
    message: str = Field(description="What happened, in one line.", max_length=1024)


class WorkflowRunStatus(Status):
    """What happened."""

    phase: str | None = Field(
        None, max_length=32,
        description="Summary of the conditions: Pending, Running, WaitingForApproval, Verifying, Succeeded, Failed, "
                    "Cancelled, RolledBack. Readers must accept new values.")
    start_time: datetime | None = Field(None, description="Start. As in Job.")
    completion_time: datetime | None = Field(None, description="End. As in Job.")
    duration: str | None = Field(None, description="Readable duration.", max_length=32)
    progress: str | None = Field(None, description="Finished and all steps, like 3/5.", max_length=16)
    target: str | None = Field(None, description="Object acted on, as kind/name.", max_length=320)
    workflow_generation: int | None = Field(
        None, description="Generation of the Workflow that was run.", ge=0)
    spec_hash: str | None = Field(
        None, description="SHA-256 of the resolved steps; the text is in the database.", max_length=64)
    steps: tuple[RunStep, ...] = Field(
        (), description="State by step.", max_length=72, json_schema_extra=map_list())
    decision: RunDecision | None = Field(None, description="The deciding answer of the model.")
    rollback: RunRollback | None = Field(None, description="How to undo it.")
    story: tuple[StoryLine, ...] = Field(
        (), description="What happened, a line each: alert, evidence, question, answer, gate, action, verification.",
        max_length=64, json_schema_extra=ATOMIC_LIST)
    silence_id: str | None = Field(
        None, alias="silenceID", description="Alertmanager silence set for the run.", max_length=64)
    report_url: str | None = Field(None, alias="reportURL", description="Link to the report.", max_length=2048)
