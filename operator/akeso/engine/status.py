"""The status of a WorkflowRun, from the ledger alone: kstatus conditions, steps, decision and story."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from akeso.clock import format_time
from akeso.model.conditions import ConditionStatus, set_condition
from akeso.model.names import Reason
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord, StoryLine

_SUCCEEDED: Mapping[RunPhase, ConditionStatus] = {
    RunPhase.SUCCEEDED: "True", RunPhase.SUGGESTED: "True", RunPhase.FAILED: "False", RunPhase.ESCALATED: "False",
    RunPhase.REFUSED: "False", RunPhase.CANCELLED: "False", RunPhase.ROLLED_BACK: "False",
}


def status_of(
    run: Run, story: Sequence[StoryLine], conditions: Sequence[Mapping[str, Any]], now: datetime, generation: int,
) -> dict[str, Any]:
    """The whole status of a WorkflowRun, as in the ledger (kstatus conditions: Succeeded, Reconciling, Stalled)."""
    done = sum(s.phase.terminal for s in run.steps)
    outcome: ConditionStatus = _SUCCEEDED.get(run.phase, "Unknown")
    reason = run.reason or Reason.RECONCILING
    message = run.message or f"{run.phase}: {story[-1].message if story else 'waiting for a worker'}"
    wanted: list[tuple[str, ConditionStatus, str, str]] = [
        ("Succeeded", outcome, reason, message),
        ("Reconciling", "False" if run.phase.terminal else "True", reason, message),
        ("Stalled", "True" if outcome == "False" else "False", reason, message)]
    if outcome == "True":
        wanted.append(("Ready", "True", reason, message))  # kstatus, Argo CD and helm --wait look at Ready
    wanted += _verified(run)
    kept = list(conditions)
    for type_, status, why, text in wanted:
        kept = set_condition(kept, type_, status, why, text, generation=generation, now=now)
    end = run.ended_at or now
    body: dict[str, Any] = {
        "observedGeneration": generation, "conditions": kept, "phase": str(run.phase),
        "progress": f"{done}/{len(run.steps)}",
        "workflowGeneration": run.workflow.get("generation", 0), "duration": _duration(run.started_at, end),
        "steps": [_step_status(s) for s in run.steps],
        "story": [{"at": _precise(line.at), "kind": line.kind, "reason": line.reason, "message": line.message[:1024]}
                  for line in story[-64:]]}
    if run.started_at:
        body["startTime"] = format_time(run.started_at)
    if run.ended_at:
        body["completionTime"] = format_time(run.ended_at)
    if run.target:
        body["target"] = str(run.target)
    body |= _decision(run)
    return body


def _precise(at: datetime) -> str:
    """With milliseconds: a whole remedy may be decided within one second."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _verified(run: Run) -> list[tuple[str, ConditionStatus, str, str]]:
    acted = [s for s in run.steps if "applied" in s.data]
    if not acted:
        return []
    last = acted[-1]
    well = last.phase is StepPhase.SUCCEEDED
    status: ConditionStatus = "True" if well else "False" if last.phase.terminal else "Unknown"
    return [("Verified", status, last.reason or Reason.ACTION_APPLIED, last.message or "checking")]


def _step_status(step: StepRecord) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": step.name, "phase": str(step.phase), "reason": step.reason[:128], "message": step.message[:2048],
        "attempts": step.attempts}
    if step.started_at:
        body["startTime"] = format_time(step.started_at)
    if step.ended_at:
        body["completionTime"] = format_time(step.ended_at)
    return body


def _decision(run: Run) -> dict[str, Any]:
    asked = [s for s in run.steps if s.data.get("verdict", {}).get("answer") == "yes"]
    if not asked:
        return {}
    verdict = asked[-1].data["verdict"]
    decision: dict[str, Any] = {"model": str(verdict.get("by", ""))[:256], "summary": asked[-1].message[:2048]}
    if verdict.get("confidencePercent") is not None:
        decision["confidencePercent"] = verdict["confidencePercent"]
    return {"decision": decision}


def _duration(start: datetime | None, end: datetime) -> str:
    if start is None:
        return ""
    seconds = int((end - start).total_seconds())
    minutes, seconds = divmod(max(0, seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
