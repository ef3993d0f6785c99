"""Approval: a person's answer to one step of a run, bound to the exact plan."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from akeso.model.api.common import ApiModel, Label, LocalRef, Rule, Status, immutable, set_once


class ApprovalTarget(ApiModel):
    """The object that the plan changes, as it was when the plan was made."""

    group: str = Field("", description="API group; empty for core.", max_length=253)
    kind: str = Field(description="Kind.", min_length=1, max_length=63)
    namespace: str = Field("", description="Namespace; empty for cluster-scoped objects.", max_length=63)
    name: str = Field(description="Name.", min_length=1, max_length=253)
    uid: str = Field(description="metadata.uid: a namesake made later is another object.", min_length=1, max_length=64)
    generation: int | None = Field(
        None, description="metadata.generation; left out for kinds without one.", ge=0)


class ApprovalSpec(ApiModel):
    """What is asked, and the answer."""

    RULES: ClassVar[Sequence[Rule]] = (
        # The question first: whoever may edit an Approval must not be able to change what is agreed to.
        set_once("planHash"), set_once("target"), set_once("diff"), set_once("summary"), set_once("expirationTime"),
        set_once("decision"), set_once("decidedBy"),
        Rule("has(self.decision) == has(self.decidedBy)", "`decision` and `decidedBy` must be set together",
             holds=lambda self: (self.decision is None) == (self.decided_by is None)),
    )

    run_ref: LocalRef = Field(
        description="WorkflowRun that waits.", json_schema_extra=immutable("`runRef` may not be changed"))
    step: Label = Field(
        description="Step that waits.", json_schema_extra=immutable("`step` may not be changed"))
    summary: str | None = Field(
        None, description="What will be done, to what, why, and how it is undone.", max_length=4096)
    plan_hash: str | None = Field(
        None, description="SHA-256 of the plan, in hex. The answer holds for this plan only.", max_length=64,
        pattern="^[0-9a-f]{64}$")
    target: ApprovalTarget | None = Field(
        None, description="The object that the plan changes. The answer holds for this uid and generation only.")
    diff: str | None = Field(None, description="The change, for people to read.", max_length=16384)
    expiration_time: datetime | None = Field(None, description="When it lapses.")
    decision: Literal["Approved", "Denied"] | None = Field(None, description="The answer; set once.")
    decided_by: str | None = Field(
        None, description="User who answered; must be the name the API server knows the caller by.", max_length=256)
    comment: str | None = Field(None, description="Why.", max_length=2048)


class ApprovalStatus(Status):
    """State."""
