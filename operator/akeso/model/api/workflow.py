"""Workflow and ClusterWorkflow: triggers, steps and limits of a remediation."""
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
    Label,
    LocalRef,
    Mode,
    ObjectName,
    Parameter,
    Percent,
    Rule,
    Status,
    map_list,
)
from akeso.model.api.step import Step
from akeso.model.api.trigger import Trigger


def _names(steps: Sequence[Step]) -> set[str]:
    return {s.name for s in steps}


class WorkflowSpec(ApiModel):
    """The remediation: what starts it, what it does, what bounds it."""

    RULES: ClassVar[Sequence[Rule]] = (
        Rule("self.steps.all(s, !has(s.dependsOn) || s.dependsOn.all(d, self.steps.exists(t, t.name == d)))",
             "every name in `dependsOn` must be a step of this Workflow", ".steps",
             lambda self: all(set(s.depends_on) <= _names(self.steps) for s in self.steps)),
        Rule("self.steps.all(s, !has(s.dependsOn) || !(s.name in s.dependsOn))",
             "a step may not depend on itself", ".steps",
             lambda self: all(s.name not in s.depends_on for s in self.steps)),
        Rule("!has(self.finally) || self.finally.all(f, !self.steps.exists(s, s.name == f.name))",
             "a name in `finally` may not repeat a name in `steps`", ".finally",
             lambda self: not _names(self.finally_) & _names(self.steps)),
        Rule("!has(self.finally) || self.finally.all(f, !has(f.dependsOn) || "
             "f.dependsOn.all(d, d != f.name && self.finally.exists(t, t.name == d)))",
             "every name in `dependsOn` of a step in `finally` must be another step in `finally`", ".finally",
             lambda self: all(set(f.depends_on) <= _names(self.finally_) - {f.name} for f in self.finally_)),
    )

    description: str = Field(
        "", description="What this Workflow repairs, and when it must not be used.", max_length=4096)
    suspend: bool = Field(False, description="Stop starting new runs; active ones go on. As in CronJob.")
    mode: Mode = Field(
        "Apply", description="Apply executes; DryRun asks the API server to validate without persisting; "
                             "Suggest only proposes. Apply when left out.")
    agent_ref: LocalRef | None = Field(
        None, description="Agent whose model, limits and allowed actions bind this Workflow.")
    service_account_name: ObjectName | None = Field(
        None, description="ServiceAccount the operator impersonates for every action: what it may not do, the "
                          "Workflow cannot do.")
    triggers: tuple[Trigger, ...] = Field(
        (), max_length=16, json_schema_extra=map_list(),
        description="What starts runs. A Workflow without triggers is a template: start it with a WorkflowRun, "
                    "or from another Workflow.")
    parameters: tuple[Parameter, ...] = Field(
        (), description="Parameters, keyed by name.", max_length=32, json_schema_extra=map_list())
    steps: tuple[Step, ...] = Field(
        description="The steps; a graph through dependsOn.", min_length=1, max_length=64,
        json_schema_extra=map_list())
    finally_: tuple[Step, ...] = Field(
        (), alias="finally", description="Steps that run after the others, whatever happened.", max_length=8,
        json_schema_extra=map_list())
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = Field(
        "Forbid", description="Per target, as in CronJob. Forbid when left out.")
    priority: int = Field(
        0, ge=-1000, le=1000,
        description="Higher wins when several Workflows match the same alert. 0 when left out.")
    active_deadline_seconds: int | None = Field(
        None, description="Deadline of a whole run. As in Job.", ge=1, le=604800)
    successful_runs_history_limit: int | None = Field(
        None, description="How many finished runs to keep in the API; the database keeps all.", ge=0, le=1000)
    failed_runs_history_limit: int | None = Field(
        None, description="How many failed runs to keep in the API.", ge=0, le=1000)


class AgentRef(LocalRef):
    """Agent, with its namespace."""

    name: ObjectName = Field(description="Name.")
    namespace: Label = Field(description="Namespace of the Agent.")


class SelectorExpression(ApiModel):
    """One expression."""

    key: str = Field(description="Label key.", max_length=317)
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="Operator.")
    values: tuple[Annotated[str, Field(description="Value.", max_length=63)], ...] = Field(
        (), description="Values.", max_length=32, json_schema_extra=ATOMIC_LIST)


class LabelSelector(ApiModel):
    """Label selector, as metav1.LabelSelector."""

    model_config = ATOMIC_MAP
    match_labels: dict[str, Annotated[str, Field(description="Value.", max_length=63)]] = Field(
        default_factory=dict, description="Labels that must be equal.", max_length=16)
    match_expressions: tuple[SelectorExpression, ...] = Field(
        (), description="As in metav1.LabelSelector.", max_length=16, json_schema_extra=ATOMIC_LIST)


class ClusterWorkflowSpec(WorkflowSpec):
    """The remediation: what starts it, what it does, what bounds it, and where."""

    agent_ref: AgentRef | None = Field(None, description="Agent, with its namespace.")
    namespace_selector: LabelSelector = Field(
        description="Namespaces this Workflow may act in. Required: an empty selector matches all.")


class LastRun(ApiModel):
    """The newest run."""

    name: str | None = Field(None, description="Name.", max_length=253)
    phase: str | None = Field(None, description="Phase.", max_length=32)
    start_time: datetime | None = Field(None, description="When it started.")


class WorkflowStatus(Status):
    """What the operator last saw."""

    step_count: Count | None = Field(None, description="Steps in the Workflow.")
    active_runs: Count | None = Field(None, description="Runs going on.")
    succeeded_runs: int | None = Field(None, description="Runs that succeeded, ever.", ge=0)
    failed_runs: int | None = Field(None, description="Runs that failed, ever.", ge=0)
    success_percent: Percent | None = Field(
        None, description="Succeeded of finished runs in the last 30 days.")
    last_run: LastRun | None = Field(None, description="The newest run.")
    last_successful_time: datetime | None = Field(None, description="When a run last succeeded.")
    last_schedule_time: datetime | None = Field(None, description="When a schedule last fired. As in CronJob.")
