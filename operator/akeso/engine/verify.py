"""Applied is not fixed: the object's own state first, the alert second; undo what did not help, or tell a person."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from akeso import failpoints
from akeso.engine.advance import due
from akeso.engine.case import Case, Wait, moved
from akeso.engine.effects import undoable
from akeso.engine.judge import variables
from akeso.engine.planning import action_of, plan_of
from akeso.model.names import Reason
from akeso.model.objects import DEPLOYMENT, NODE, POD, REPLICASET, Object, ObjectRef, dig
from akeso.model.run import RunPhase, StepPhase, StepRecord
from akeso.model.verdict import Answer
from akeso.sdk.action import Health

POLL = timedelta(seconds=1)        # the first looks after a write
SLOW_POLL = timedelta(seconds=5)   # after half a minute: a rollout that takes minutes needs no closer look
FIRST = timedelta(seconds=30)


async def verify(case: Case, name: str) -> Wait | None:
    """Verifying -> Succeeded, Undoing or Escalated; waits while the object is still changing."""
    record = case.run.step(name)
    made, applied = plan_of(record), due(record, "applied") or case.now
    failpoints.reach("before-verify")
    if "healthyAt" not in record.data:
        action, params = action_of(case, case.step(name))
        async with case.services.guard("kubernetes"):
            now = await case.read(made.change.target)
            around = await related(case, made.change.target, now)
        found = action.verify(_before(record), now, around, params)
        if found.health is Health.PENDING and case.now < (due(record, "deadline") or case.now):
            return Wait(case.now + (POLL if case.now - applied < FIRST else SLOW_POLL))
        if found.health is not Health.HEALTHY:
            late = "" if found.health is Health.UNHEALTHY else "not healthy before the deadline: "
            await _did_not_help(case, record, f"{late}{found.message}")
            return None
        record = moved(
            record, StepPhase.VERIFYING, Reason.VERIFIED, found.message, case.now, healthyAt=case.now.isoformat())
        await case.commit(record, story=[("verification", Reason.VERIFIED, f"{name}: {found.message}")])
    return await _alert_second(case, record)


async def _alert_second(case: Case, record: StepRecord) -> Wait | None:
    """The object is well. A resolved alert confirms it; one that goes on firing too long needs a person."""
    name = record.name
    signal = await case.services.store.signal(case.run.signal_id)
    if signal is None or not signal.firing or _checked_later(case, name):
        said = "" if _checked_later(case, name) else "; the alert resolved"
        message = f"{record.message}{said}"
        await case.commit(moved(record, StepPhase.SUCCEEDED, Reason.VERIFIED, message, case.now),
                          story=[("verification", Reason.VERIFIED, f"{name}: verified{said}")])
        failpoints.reach("after-verify")
        return None
    grace = timedelta(seconds=case.services.settings.alert_grace_seconds)
    until = (due(record, "healthyAt") or case.now) + grace
    if case.now < until:
        return Wait(min(until, case.now + SLOW_POLL))
    # Not undone: the object is healthier than before, and many alerts look back over minutes.
    message = f"{record.message}, but the alert still fires {grace.seconds} s later. Next: a person must look"
    await case.commit(moved(record, StepPhase.ESCALATED, Reason.STILL_UNHEALTHY, message, case.now),
                      story=[("verification", Reason.STILL_UNHEALTHY, f"{name}: {message}")])
    return None


def _checked_later(case: Case, name: str) -> bool:
    """True where a later step of the Workflow checks the alert, so that this one need not wait for it."""
    return any(s.verify and s.verify.alert_resolved and name in s.depends_on for s in case.spec.steps)


async def _did_not_help(case: Case, record: StepRecord, message: str) -> None:
    case.services.metrics.acted(plan_of(record).action, Reason.STILL_UNHEALTHY)
    phase = StepPhase.UNDOING if undoable(plan_of(record)) else StepPhase.ESCALATED
    then = "undoing it" if phase is StepPhase.UNDOING else "it cannot be undone. Next: a person must look"
    await case.commit(moved(record, phase, Reason.STILL_UNHEALTHY, message, case.now),
                      story=[("verification", Reason.STILL_UNHEALTHY, f"{record.name}: {message}; {then}")])
    failpoints.reach("after-verify")


def _before(record: StepRecord) -> Object:
    value = record.data.get("beforeObject", {})
    return value if isinstance(value, dict) else {}


async def related(case: Case, ref: ObjectRef, now: Object | None) -> Sequence[Object]:
    """The pods (and ReplicaSets) of the object now, for its action's verification."""
    cluster = case.services.cluster
    if ref.kind == NODE:
        return ()
    if ref.kind == POD:
        return [*await cluster.list(POD, ref.namespace), *await cluster.list(REPLICASET, ref.namespace)]
    selector = dig(now, "spec", "selector", "matchLabels", default={})
    if not selector:
        return ()
    pods = await cluster.list(POD, ref.namespace, labels=selector)
    if ref.kind != DEPLOYMENT:
        return pods
    return [*pods, *await cluster.list(REPLICASET, ref.namespace, labels=selector)]


async def check(case: Case, name: str) -> Wait | None:
    """A verify step: CEL over the live target, and/or the alert resolved, within its deadline."""
    record, step = case.run.step(name), case.step(name)
    wanted = step.verify
    assert wanted is not None  # noqa: S101 only called for verify steps
    started = due(record, "since")
    if started is None:
        await case.commit(moved(record, StepPhase.VERIFYING, "", "checking", case.now, since=case.now.isoformat()),
                          phase=RunPhase.VERIFYING)
        started = case.now
    problem = await _unmet(case, name)
    if not problem:
        await case.commit(moved(case.run.step(name), StepPhase.SUCCEEDED, Reason.VERIFIED, "verified", case.now),
                          story=[("verification", Reason.VERIFIED, f"{name}: verified")])
        return None
    if case.now < started + timedelta(seconds=wanted.within_seconds or 300):
        return Wait(case.now + POLL)
    await _check_failed(case, name, problem)
    return None


async def _unmet(case: Case, name: str) -> str:
    """What is not yet as it should be, or the empty string."""
    wanted = case.step(name).verify
    assert wanted is not None  # noqa: S101 only called for verify steps
    if wanted.alert_resolved:
        signal = await case.services.store.signal(case.run.signal_id)
        if signal is not None and signal.firing:
            return "the alert still fires"
    if wanted.cel is not None and case.run.target is not None:
        await case.evidence()
        async with case.services.guard("kubernetes"):
            target = await case.read(case.run.target)
        verdict = case.services.conditions.evaluate(wanted.cel, variables(case, target))
        if verdict.answer is not Answer.YES:
            return f"{wanted.cel} is {verdict.answer}: {verdict.message}"
    return ""


async def _check_failed(case: Case, name: str, problem: str) -> None:
    wanted, record = case.step(name).verify, case.run.step(name)
    on_failure = wanted.on_failure if wanted else "Escalate"
    phase = StepPhase.FAILED if on_failure == "Fail" else StepPhase.ESCALATED
    changed = [moved(record, phase, Reason.STILL_UNHEALTHY, problem, case.now)]
    if on_failure == "Rollback":
        changed += [
            moved(r, StepPhase.UNDOING, Reason.STILL_UNHEALTHY, problem, case.now) for r in _undo_candidates(case)]
    await case.commit(*changed, story=[("verification", Reason.STILL_UNHEALTHY, f"{name}: {problem}")])


def _undo_candidates(case: Case) -> list[StepRecord]:
    """Succeeded action steps that can be undone, newest first."""
    actions = {s.name for s in case.spec.steps if s.action}
    done = [r for r in case.run.steps if r.name in actions and r.phase is StepPhase.SUCCEEDED and "plan" in r.data]
    done.sort(key=lambda r: r.ended_at or case.now, reverse=True)
    return [r for r in done if undoable(plan_of(r))]
