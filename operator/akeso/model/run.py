"""A run: one durable execution of a Workflow. Everything `engine.advance` needs to say what comes next."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from akeso.model.objects import ObjectRef


class RunPhase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    WAITING = "WaitingForApproval"
    VERIFYING = "Verifying"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ESCALATED = "Escalated"
    REFUSED = "Refused"
    SUGGESTED = "Suggested"
    CANCELLED = "Cancelled"
    ROLLED_BACK = "RolledBack"

    @property
    def terminal(self) -> bool:
        return self not in (RunPhase.PENDING, RunPhase.RUNNING, RunPhase.WAITING, RunPhase.VERIFYING)


class StepPhase(StrEnum):
    PENDING = "Pending"
    READY = "Ready"              # condition said yes, nothing planned yet
    PLANNED = "Planned"          # plan and gates passed; needs approval or goes on
    WAITING = "WaitingForApproval"
    APPROVED = "Approved"
    APPLYING = "Applying"        # the intent is committed
    VERIFYING = "Verifying"      # the effect is applied
    UNDOING = "Undoing"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    REFUSED = "Refused"
    ESCALATED = "Escalated"
    SUGGESTED = "Suggested"
    ROLLED_BACK = "RolledBack"

    @property
    def terminal(self) -> bool:
        return self in _ENDED_STEPS


_ENDED_STEPS = frozenset({
    StepPhase.SUCCEEDED, StepPhase.SKIPPED, StepPhase.FAILED, StepPhase.REFUSED, StepPhase.ESCALATED,
    StepPhase.SUGGESTED, StepPhase.ROLLED_BACK,
})


@dataclass(frozen=True, slots=True)
class StepRecord:
    """State of one step. `data` is JSON: the plan, the approval's name, the verification deadline, outputs."""

    name: str
    phase: StepPhase = StepPhase.PENDING
    reason: str = ""
    message: str = ""
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One line of the story of a run: what `akeso why` prints.

    kind: alert, target, evidence, question, answer, plan, gate, approval, action, verification, undo, outcome
    """

    at: datetime
    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Run:
    """One execution, as the ledger has it.

    epoch     grows with every claim; a statement or a write of an older epoch changes nothing (fencing)
    workflow  the Workflow as it was when the run began: {"kind", "namespace", "name", "uid", "generation", "spec"}
    agent     the Agent likewise, or {} where the Workflow names none
    """

    id: str
    name: str                # name of its WorkflowRun object
    namespace: str           # and its namespace
    signal_id: str
    trigger: str
    workflow: Mapping[str, Any]
    agent: Mapping[str, Any]
    phase: RunPhase
    epoch: int
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    wake_at: datetime | None = None
    target: ObjectRef | None = None
    steps: Sequence[StepRecord] = ()
    reason: str = ""
    message: str = ""

    def step(self, name: str) -> StepRecord:
        return next(s for s in self.steps if s.name == name)
