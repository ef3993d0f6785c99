"""Judging the condition of a step: CEL first, a question to rules or a model otherwise, or abstention."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from akeso import failpoints
from akeso.engine.case import Case, Wait, moved
from akeso.model.api.step import Ask, Step
from akeso.model.names import Reason
from akeso.model.run import StepPhase
from akeso.model.verdict import Answer, Verdict

_UNSURE = {"Skip": StepPhase.SKIPPED, "Proceed": StepPhase.READY, "Fail": StepPhase.FAILED}


async def decide(case: Case, name: str) -> Wait | None:
    """yes -> Ready; no -> Skipped; unsure -> as the question's onUncertain says (Escalate when left out)."""
    step, record = case.step(name), case.run.step(name)
    if await _healed_before(case, step):
        message = "an earlier step healed the object, and the alert resolved"
        await case.commit(moved(record, StepPhase.SKIPPED, Reason.ALERT_RESOLVED, message, case.now))
        return None
    if step.condition is None:
        await case.commit(moved(record, StepPhase.READY, Reason.ANSWERED, "no condition", case.now))
        return None
    await case.evidence()
    if step.condition.cel is not None:
        question, verdict = step.condition.cel, case.services.conditions.evaluate(step.condition.cel, variables(case))
        uncertain = "Escalate"
    else:
        assert step.condition.ask is not None  # noqa: S101 the schema says exactly one
        question, uncertain = step.condition.ask.question, step.condition.ask.on_uncertain
        verdict = await _ask(case, step, step.condition.ask)
    case.services.metrics.decided(str(verdict.answer), verdict.by)
    record = moved(record, *_outcome(verdict, uncertain), case.now, verdict=_as_json(verdict))
    await case.commit(record, story=[
        ("question", Reason.ANSWERED, f"{name}: {question}"),
        ("answer", verdict.reason, f"{name}: {verdict.answer} by {verdict.by}: {verdict.message}"),
    ])
    failpoints.reach("after-decision")
    return None


async def _healed_before(case: Case, step: Step) -> bool:
    """A remedy is not tried on a healthy object, unless the step says that it follows the one that healed it."""
    done = {r.name for r in case.run.steps if r.phase is StepPhase.SUCCEEDED and "applied" in r.data}
    if step.action is None or not done or done & set(step.depends_on):
        return False
    signal = await case.services.store.signal(case.run.signal_id)
    return signal is not None and not signal.firing


async def _ask(case: Case, step: Step, ask: Ask) -> Verdict:
    chain = await case.services.models.chain(case.home, case.agent)
    minimum = ask.min_confidence_percent
    if minimum is None and case.agent is not None:
        minimum = case.agent.min_confidence_percent
    return await chain.ask(
        ask.question, case.facts, await case.evidence(),
        action=step.action.name if step.action else "", min_confidence_percent=minimum or 0)


def _outcome(verdict: Verdict, uncertain: str) -> tuple[StepPhase, str, str]:
    if verdict.answer is Answer.YES:
        return StepPhase.READY, verdict.reason, verdict.message
    if verdict.answer is Answer.NO:
        reason = verdict.reason if verdict.reason == Reason.CONTRADICTED else Reason.CONDITION_FALSE
        return StepPhase.SKIPPED, reason, verdict.message
    return _UNSURE.get(uncertain, StepPhase.ESCALATED), verdict.reason, verdict.message


def variables(case: Case, target: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a CEL expression sees: alert, facts, target, steps, params. An absent fact is an error there: unsure."""
    snapshot = case.snapshot
    alert = snapshot.alert if snapshot else None
    said = {"name": alert.name, "labels": dict(alert.labels), "annotations": dict(alert.annotations)} if alert else {}
    return {
        "alert": said,
        "facts": {f.name: list(f.value) if isinstance(f.value, tuple) else f.value for f in case.facts.values()},
        "target": dict(target or (snapshot.target_object if snapshot else None) or {}),
        "steps": {s.name: {"phase": str(s.phase), "reason": s.reason} for s in case.run.steps},
        "params": {p.name: p.value or "" for p in case.spec.parameters},
    }


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {"answer": str(verdict.answer), "by": verdict.by, "facts": list(verdict.facts), "rules": list(verdict.rules),
            "confidencePercent": verdict.confidence_percent, "tried": list(verdict.tried)}
