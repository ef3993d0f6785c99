"""The ends: a step that can no longer run, and the run itself, summed up and, where needed, escalated."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from akeso import failpoints
from akeso.engine.advance import Move, summary
from akeso.engine.case import Case, Wait, moved
from akeso.engine.effects import tell
from akeso.errors import AkesoError
from akeso.model.names import Reason
from akeso.model.run import RunPhase, StepPhase, StepRecord, StoryLine

Story = tuple[str, str, str] | StoryLine
NEEDS_A_PERSON = (RunPhase.ESCALATED, RunPhase.FAILED, RunPhase.ROLLED_BACK)


async def skip(case: Case, move: Move) -> Wait | None:
    record = case.run.step(move.step)
    phase = StepPhase.ESCALATED if move.reason == Reason.DEADLINE_EXCEEDED else StepPhase.SKIPPED
    await case.commit(moved(record, phase, move.reason, move.message, case.now))
    return None


async def finish(case: Case) -> Wait | None:
    """All steps ended: sum up. People are told before the commit: at least once, never not at all."""
    phase, reason, message = summary(case.run, case.spec)
    await end(case, phase, reason, message)
    return None


async def end(case: Case, phase: RunPhase, reason: str, message: str, *steps: StepRecord,
              story: Sequence[Story] = (), **run: Any) -> None:
    """The one way in which a run ends. `steps`, `story` and `run` are committed with the outcome."""
    if phase in NEEDS_A_PERSON and case.services.settings.escalation_channel:
        try:
            await tell(case, case.services.settings.escalation_channel, f"{case.run.name}: {message}", "escalation")
        except AkesoError as error:
            case.services.log.warning(f"not escalated by channel: {error}", run_id=case.run.name)
    await case.commit(*steps, story=[*story, ("outcome", reason, f"{phase}: {message}")], phase=phase, reason=reason,
                      message=message, ended_at=case.now, **run)
    case.services.metrics.runs.labels(str(phase)).inc()
    failpoints.reach("after-finish")
