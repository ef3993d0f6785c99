"""One step of a Workflow: a condition, and exactly one thing to do."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from akeso.model.api.common import (
    SET_LIST,
    ApiModel,
    Cel,
    Label,
    LocalRef,
    ObjectName,
    Parameter,
    Percent,
    Rule,
    WorkflowKind,
    exactly_one,
    map_list,
)

ACTION_NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
NOT_EMPTY = ConfigDict(json_schema_extra={"minProperties": 1})


class Ask(ApiModel):
    """A yes/no question for the language model, answered within a schema: free text never becomes a command."""

    question: str = Field(description="Question about the collected evidence.", min_length=1, max_length=2048)
    agent_ref: LocalRef | None = Field(
        None, description="Agent that answers. The agent of the Workflow when left out.")
    min_confidence_percent: Percent | None = Field(None, description="Answers below this count as uncertain.")
    on_uncertain: Literal["Escalate", "Skip", "Proceed", "Fail"] = Field(
        "Escalate", description="What an uncertain or missing answer means. Escalate when left out.")


class StepCondition(ApiModel):
    """When to run this step; exactly one of cel and ask."""

    model_config = NOT_EMPTY
    RULES: ClassVar[Sequence[Rule]] = (
        Rule("has(self.cel) != has(self.ask)", "must set exactly one of `cel` and `ask`",
             holds=lambda self: (self.cel is None) != (self.ask is None)),
    )

    cel: Cel | None = Field(None, description="CEL expression over trigger, params, steps and target.")
    ask: Ask | None = Field(
        None, description="A yes/no question for the language model. The answer is constrained to a schema; "
                          "free text never becomes a command.")


class ActionTarget(ApiModel):
    """The object to act on."""

    group: str = Field("", description="API group; empty for core.", max_length=253)
    kind: str = Field(description="Kind.", min_length=1, max_length=63)
    name: str = Field(description="Name.", min_length=1, max_length=253)
    namespace: str | None = Field(
        None, description="Namespace. Must be the own namespace of a namespaced Workflow.", max_length=63)


class ActionCall(ApiModel):
    """Run one action of the registry."""

    name: str = Field(
        description="Name in the action registry, for example restart_deployment. List them with the CLI command "
                    "`actions`.", min_length=3, max_length=127, pattern=ACTION_NAME)
    target: ActionTarget | None = Field(
        None, description="The object to act on. Every field may use {{ }} templates over the trigger and earlier "
                          "steps. When left out, the object that the alert was resolved to.")
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="Arguments; their schema comes from the action.",
        max_length=32)


class ApprovalStep(ApiModel):
    """Wait for a person."""

    message: str | None = Field(None, description="What the approver is asked.", max_length=1024)
    timeout_seconds: int | None = Field(None, description="How long to wait.", ge=10, le=604800)
    on_timeout: Literal["Deny", "Approve", "Escalate"] = Field("Deny", description="Deny when left out.")


class Wait(ApiModel):
    """Wait for time to pass or a CEL expression to hold."""

    seconds: int = Field(description="At most this long.", ge=1, le=86400)
    until: Cel | None = Field(None, description="CEL expression, polled.")


class VerifyCheck(ApiModel):
    """Check that the remedy worked."""

    model_config = NOT_EMPTY
    RULES: ClassVar[Sequence[Rule]] = (
        Rule("has(self.cel) || has(self.promql) || has(self.alertResolved)",
             "must set at least one of `cel`, `promql` and `alertResolved`",
             holds=lambda self: not (self.cel is None and self.promql is None and self.alert_resolved is None)),
    )

    cel: Cel | None = Field(None, description="CEL expression over the live target.")
    promql: str | None = Field(
        None, description="PromQL; true when it returns no series or only zeroes.", min_length=1, max_length=2048)
    alert_resolved: bool | None = Field(None, description="True when the alert of the trigger must resolve.")
    within_seconds: int | None = Field(
        None, description="Deadline for the check to hold.", ge=1, le=86400)
    on_failure: Literal["Escalate", "Rollback", "Fail"] = Field(
        "Escalate", description="Escalate when left out.")


class Notify(ApiModel):
    """Tell people."""

    channel: str = Field(
        description="Name of a notification channel of the operator.", min_length=1, max_length=63)
    message: str | None = Field(None, description="Jinja template.", max_length=4096)


class SubWorkflow(ApiModel):
    """Run another Workflow as a sub-workflow."""

    kind: WorkflowKind = Field("Workflow", description="Workflow when left out.")
    name: ObjectName = Field(description="Name.")
    parameters: tuple[Parameter, ...] = Field(
        (), description="Parameters, keyed by name.", max_length=32, json_schema_extra=map_list())


class Retry(ApiModel):
    """Retries of this step."""

    limit: int | None = Field(None, description="How many more attempts.", ge=0, le=20)
    backoff_seconds: int | None = Field(
        None, description="First pause; doubles each time with jitter.", ge=0, le=3600)


class Step(ApiModel):
    """One step: exactly one of action, approval, wait, verify, notify, workflowRef."""

    RULES: ClassVar[Sequence[Rule]] = (
        exactly_one("action", "approval", "wait", "verify", "notify", "workflow_ref"),
    )

    name: Label = Field(description="Name of the step, unique in this Workflow.")
    description: str = Field("", description="What the step is for; shown in reports.", max_length=1024)
    depends_on: tuple[Annotated[Label, Field(description="Name of a step.")], ...] = Field(
        (), max_length=16, json_schema_extra=SET_LIST,
        description="Steps that must succeed first. Steps without it start at once, in parallel.")
    condition: StepCondition | None = Field(
        None, description="When to run this step; exactly one of cel and ask.")
    action: ActionCall | None = Field(None, description="Run one action of the registry.")
    approval: ApprovalStep | None = Field(None, description="Wait for a person.")
    wait: Wait | None = Field(None, description="Wait for time to pass or a CEL expression to hold.")
    verify: VerifyCheck | None = Field(None, description="Check that the remedy worked.")
    notify: Notify | None = Field(None, description="Tell people.")
    workflow_ref: SubWorkflow | None = Field(None, description="Run another Workflow as a sub-workflow.")
    retry: Retry | None = Field(None, description="Retries of this step.")
    timeout_seconds: int | None = Field(None, description="Deadline of one attempt.", ge=1, le=86400)
    on_error: Literal["Stop", "Continue", "Rollback"] = Field("Stop", description="Stop when left out.")
