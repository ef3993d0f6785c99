"""What comes next for a run: a pure function of what the ledger says. Calling it twice changes nothing twice."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from akeso.clock import parse_time
from akeso.model.api.step import Step
from akeso.model.api.workflow import WorkflowSpec
from akeso.model.names import Reason
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord


class Do(StrEnum):
    """The moves that a worker knows how to make. Each ends in one commit."""

    BEGIN = "begin"        # create the step records, resolve the target, gather evidence
    DECIDE = "decide"      # judge the condition of a step
    PLAN = "plan"          # gates, the exact change, its dry run
    CONSENT = "consent"    # autonomy: stop at the plan, ask a person, or go on
    LISTEN = "listen"      # look whether the person has answered
    APPLY = "apply"        # intent, then the one write
    VERIFY = "verify"      # object first, alert second
    UNDO = "undo"          # the inverse change
    NOTIFY = "notify"      # tell people
    CHECK = "check"        # a verify step
    SKIP = "skip"          # a step that can no longer run
    FINISH = "finish"      # sum up and end


@dataclass(frozen=True, slots=True)
class Move:
    do: Do
    step: str = ""
    reason: str = ""
    message: str = ""


BAD_ENDS = (StepPhase.FAILED, StepPhase.REFUSED, StepPhase.ESCALATED, StepPhase.SUGGESTED, StepPhase.ROLLED_BACK)

_BY_PHASE = {
    StepPhase.PENDING: Do.DECIDE,
    StepPhase.PLANNED: Do.CONSENT,
    StepPhase.WAITING: Do.LISTEN,
    StepPhase.APPROVED: Do.APPLY,
    StepPhase.APPLYING: Do.APPLY,
    StepPhase.VERIFYING: Do.VERIFY,
    StepPhase.UNDOING: Do.UNDO,
}


def next_move(run: Run, spec: WorkflowSpec, now: datetime) -> Move:
    """The next move of a run that is not terminal."""
    if not run.steps:
        return Move(Do.BEGIN)
    for step in spec.steps:  # an effect under way is always carried to its end first, whatever else happened
        if _in_flight(run.step(step.name)):
            return _for_step(run, step, run.step(step.name))
    left = [s for s in in_order(spec.steps) if not run.step(s.name).phase.terminal]
    if left and _over(run, spec):
        return Move(Do.SKIP, left[0].name, Reason.SKIPPED, "an earlier step ended the run")
    if left:
        overdue = deadline_of(run, spec)
        if overdue and now >= overdue:
            return Move(
                Do.SKIP, left[0].name, Reason.DEADLINE_EXCEEDED, "activeDeadlineSeconds of the Workflow is over")
        return _for_step(run, left[0], run.step(left[0].name))
    for step in in_order(spec.finally_):
        if not run.step(step.name).phase.terminal:
            return _for_step(run, step, run.step(step.name))
    return Move(Do.FINISH)


def _for_step(run: Run, step: Step, record: StepRecord) -> Move:
    blocked = _blocked_by(run, step)
    if blocked and record.phase is StepPhase.PENDING:
        return Move(Do.SKIP, step.name, Reason.SKIPPED, f"it depends on {blocked}, which did not succeed")
    if record.phase is StepPhase.READY:
        return Move(Do.PLAN if step.action else Do.NOTIFY if step.notify else Do.CHECK, step.name)
    if record.phase is StepPhase.VERIFYING and not step.action:
        return Move(Do.CHECK, step.name)
    return Move(_BY_PHASE[record.phase], step.name)


def _blocked_by(run: Run, step: Step) -> str:
    return next((n for n in step.depends_on if run.step(n).phase is not StepPhase.SUCCEEDED), "")


def _in_flight(record: StepRecord) -> bool:
    return record.phase in (StepPhase.APPROVED, StepPhase.APPLYING, StepPhase.VERIFYING, StepPhase.UNDOING)


def _over(run: Run, spec: WorkflowSpec) -> bool:
    """True where a step ended badly and its `onError` does not say Continue."""
    return any(run.step(s.name).phase in BAD_ENDS and s.on_error != "Continue" for s in spec.steps)


def deadline_of(run: Run, spec: WorkflowSpec) -> datetime | None:
    if spec.active_deadline_seconds is None or run.started_at is None:
        return None
    return run.started_at + timedelta(seconds=spec.active_deadline_seconds)


def in_order(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps in dependency order, ties in the order written. Raises ValueError naming a cycle."""
    done: set[str] = set()
    left = list(steps)
    while left:
        step = next((s for s in left if set(s.depends_on or ()) <= done), None)
        if step is None:
            raise ValueError(f"steps depend on each other in a circle: {', '.join(s.name for s in left)}")
        left.remove(step)
        done.add(step.name)
        yield step


def summary(run: Run, spec: WorkflowSpec) -> tuple[RunPhase, str, str]:
    """How a run ended, from its steps: (phase, reason, message). The worst step decides."""
    by_step = {StepPhase.ROLLED_BACK: RunPhase.ROLLED_BACK, StepPhase.FAILED: RunPhase.FAILED,
               StepPhase.ESCALATED: RunPhase.ESCALATED, StepPhase.REFUSED: RunPhase.REFUSED,
               StepPhase.SUGGESTED: RunPhase.SUGGESTED}
    for phase, outcome in by_step.items():
        for step in spec.steps:
            record = run.step(step.name)
            if record.phase is phase and step.on_error != "Continue":
                return outcome, record.reason, f"{step.name}: {record.message}"
    records = {s.name: run.step(s.name) for s in spec.steps}
    acted = [s for s in spec.steps if s.action and records[s.name].phase is StepPhase.SUCCEEDED]
    if acted:
        last = records[acted[-1].name]
        return RunPhase.SUCCEEDED, last.reason or Reason.SUCCEEDED, last.message
    if any(s.action for s in spec.steps):
        why = "; ".join(f"{r.name}: {r.message}" for r in records.values() if r.phase is StepPhase.SKIPPED)
        message = f"no remedy of this Workflow fits the facts ({why}). Next: a person must look"
        return RunPhase.ESCALATED, Reason.ESCALATED, message
    return RunPhase.SUCCEEDED, Reason.SUCCEEDED, "all steps done"


def due(record: StepRecord, key: str) -> datetime | None:
    """A time kept in the step's data, such as the end of its verification."""
    return parse_time(record.data.get(key))
