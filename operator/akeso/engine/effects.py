"""The one write: intent committed before, outcome read back when unknown, undone when it did not help."""
from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from akeso import failpoints
from akeso.act.perform import Outcome, action_id
from akeso.engine.case import Case, Wait, moved
from akeso.engine.planning import PATIENCE, action_of, plan_of, refuse, since, still_the_same
from akeso.errors import AkesoError, GiveUp, Refused, TooManyRequests, TryLater
from akeso.model.names import Reason
from akeso.model.objects import Object, dig
from akeso.model.plan import Intent, IntentState, Plan, Verb
from akeso.model.redact import redact
from akeso.model.run import RunPhase, StepPhase, StepRecord
from akeso.record import codec
from akeso.render import render_text

MAX_ATTEMPTS = 3  # re-plans after the object moved under us


async def apply(case: Case, name: str) -> Wait | None:
    """Approved or Applying -> Verifying (or done, or planned again, or failed)."""
    record = case.run.step(name)
    made = plan_of(record)
    if made.change.verb in (Verb.NOTIFY, Verb.COLLECT):
        return await _outside(case, record, made)
    if case.snapshot is None and not await _begun(case, record, made):  # agreed to in an earlier pass: judged once more
        try:
            await still_the_same(case, name, made)
        except Refused as refusal:
            await refuse(case, record, refusal)
            return None
    outcome = await _carry_out(case, record, made)
    if isinstance(outcome, Wait):
        return outcome
    await _after_write(case, record, made, outcome)
    return None


async def _begun(case: Case, record: StepRecord, made: Plan) -> bool:
    """True where this attempt has an intent: on its way or settled, it is carried to its end whatever changed."""
    key = action_id(case.run.id, record.name, record.attempts, made)
    return any(i.action_id == key for i in await case.services.store.intents(case.run.id))


async def _carry_out(case: Case, record: StepRecord, made: Plan) -> Outcome | Wait:
    """Intent, then the write. Recovers an intent that a dead worker left behind."""
    attempt = record.attempts
    key = action_id(case.run.id, record.name, attempt, made)
    failpoints.reach("before-intent")
    intent = await case.services.store.intend(
        Intent(key, case.run.id, record.name, case.run.epoch, made), case.run.epoch)
    first = intent.epoch == case.run.epoch
    known = record.data.get("beforeObject") if case.snapshot is not None and not record.name.endswith("/undo") else None
    failpoints.reach("after-intent")
    if intent.state is not IntentState.INTENT:
        return Outcome(intent.state, intent.message)
    try:
        async with case.services.guard("kubernetes"), case.services.guard(f"action/{made.action}"):
            outcome = await case.services.performer.perform(
                replace(intent, epoch=case.run.epoch), first_attempt=first, known=known)
    except TooManyRequests as busy:
        waited = _budget_says_no(case, record, busy)
        if waited is not None:
            return waited
        outcome = Outcome(IntentState.FAILED, f"{busy.what}: {busy.why}; gave up after {PATIENCE}")
    failpoints.reach("after-write")
    await case.services.store.settle(key, outcome.state, outcome.message, case.now)
    failpoints.reach("after-settle")
    case.services.metrics.acted(made.action, str(outcome.state))
    return outcome


def _budget_says_no(case: Case, record: StepRecord, busy: TooManyRequests) -> Wait | None:
    """Not now: the API server throttles, or a PodDisruptionBudget protects the pod. None once patience is over."""
    if case.now - since(case, record) > PATIENCE:
        return None
    return Wait(case.now + timedelta(seconds=max(1.0, busy.after)))


async def _after_write(case: Case, record: StepRecord, made: Plan, outcome: Outcome) -> None:
    name = record.name
    if outcome.state is IntentState.APPLIED:
        step = case.step(name)
        action, _ = action_of(case, step)
        within = step.timeout_seconds or action.verify_within_seconds
        await case.commit(
            moved(record, StepPhase.VERIFYING, Reason.ACTION_APPLIED, made.change.summary, case.now,
                  applied=case.now.isoformat(), deadline=(case.now + timedelta(seconds=within)).isoformat()),
            phase=RunPhase.VERIFYING,
            story=[("action", Reason.ACTION_APPLIED,
                    f"{name}: {made.change.summary}, as ServiceAccount {made.service_account}")])
        failpoints.reach("after-applied")
    elif outcome.state is IntentState.NOOP:
        await case.commit(moved(record, StepPhase.SUCCEEDED, Reason.ALREADY_SO, outcome.message, case.now),
                          story=[("action", Reason.ALREADY_SO, f"{name}: {outcome.message}")])
    elif outcome.state is IntentState.STALE:
        await _plan_again(case, record, outcome)
    else:
        await _failed(case, record, outcome.reason or Reason.ACTION_FAILED, outcome.message)


async def _failed(case: Case, record: StepRecord, reason: str, message: str) -> None:
    await case.commit(moved(record, StepPhase.FAILED, reason, message, case.now),
                      story=[("action", reason, f"{record.name}: {message}")])


async def _plan_again(case: Case, record: StepRecord, outcome: Outcome) -> None:
    """The object moved between plan and write; nothing was changed. An approved plan is not silently replaced."""
    approved_by_person = "approval" in record.data
    if approved_by_person or record.attempts + 1 >= MAX_ATTEMPTS:
        refusal = Refused(Reason.TARGET_CHANGED, f"the object moved before the write: {outcome.message}")
        await refuse(case, record, refusal)
        return
    case.snapshot = None
    again = replace(record, attempts=record.attempts + 1)
    await case.commit(moved(again, StepPhase.READY, Reason.TARGET_CHANGED, "planning again", case.now),
                      story=[("action", Reason.TARGET_CHANGED, f"{record.name}: {outcome.message}; planning again")])


async def _outside(case: Case, record: StepRecord, made: Plan) -> Wait | None:
    """Effects outside the cluster's objects: at least once, under an idempotency key."""
    if made.change.verb is Verb.NOTIFY:
        body = made.change.body
        try:
            await tell(case, str(body.get("channel", "")), str(body.get("message", "")), record.name)
        except (GiveUp, TryLater) as error:
            if isinstance(error, TryLater) and case.now - since(case, record) <= PATIENCE:
                return Wait(case.now + timedelta(seconds=max(1.0, error.after)))
            await _failed(case, record, Reason.ACTION_FAILED, str(error))
            return None
        story = ("action", Reason.ACTION_APPLIED, f"{record.name}: told {body.get('channel')}")
    else:
        kept = await _collect(case, record.name, made)
        story = ("action", Reason.ACTION_APPLIED, f"{record.name}: kept {kept} in the database")
    await case.commit(moved(record, StepPhase.SUCCEEDED, Reason.ACTION_APPLIED, story[2], case.now), story=[story])
    return None


async def _collect(case: Case, name: str, made: Plan) -> str:
    seen = await case.evidence()
    await case.services.store.save_evidence(
        case.run.id, case.facts, codec.dumps({
            "step": name, "kept": dict(made.change.body), "missing": {k: redact(v) for k, v in seen.missing.items()}}))
    return ", ".join(f"{len(v)} {k}" for k, v in made.change.body.items() if isinstance(v, list | dict)) or "nothing"


async def notify(case: Case, name: str) -> Wait | None:
    """A notify step. A channel that cannot be reached never stops a remedy: it is said and the run goes on."""
    record, step = case.run.step(name), case.step(name)
    assert step.notify is not None  # noqa: S101 only called for notify steps
    try:
        text = render_text(step.notify.message or "{{ run.name }}: {{ message }}", {
            "message": case.run.message,  # a value, never a template: texts of strangers are in it
            "run": {"name": case.run.name, "namespace": case.run.namespace, "phase": str(case.run.phase)},
            "target": str(case.run.target or ""),
            "steps": {s.name: {"phase": str(s.phase), "message": s.message} for s in case.run.steps}})
        await tell(case, step.notify.channel, text, name)
    except AkesoError as error:
        await case.commit(moved(record, StepPhase.SKIPPED, Reason.ACTION_FAILED, str(error), case.now),
                          story=[("action", Reason.ACTION_FAILED, f"{name}: not told: {error}")])
        return None
    await case.commit(moved(record, StepPhase.SUCCEEDED, Reason.ACTION_APPLIED, text[:200], case.now),
                      story=[("action", Reason.ACTION_APPLIED, f"{name}: told {step.notify.channel}")])
    return None


async def tell(case: Case, channel: str, message: str, step: str) -> None:
    context = {"run": case.run.name, "namespace": case.run.namespace, "target": str(case.run.target or "")}
    async with case.services.guard(f"channel/{channel}"[:63]):
        await case.services.notifier.notify(channel, message, context, key=f"{case.run.id}/{step}")


async def undo(case: Case, name: str) -> Wait | None:
    """Undoing -> RolledBack, or Escalated where the inverse could not be applied."""
    record = case.run.step(name)
    made = plan_of(record)
    inverse = await _inverse(case, name, made)
    if inverse is None:
        message = f"{record.message}; it could not be undone because the object is gone or has no inverse"
        await case.commit(moved(record, StepPhase.ESCALATED, Reason.ROLLBACK_FAILED, message, case.now),
                          story=[("undo", Reason.ROLLBACK_FAILED, f"{name}: {message}")])
        return None
    outcome = await _carry_out(case, replace(record, name=f"{name}/undo"), inverse)
    if isinstance(outcome, Wait):
        return outcome
    if outcome.state in (IntentState.APPLIED, IntentState.NOOP):
        message = f"{record.message}; undone: {inverse.change.summary}"
        await case.commit(moved(record, StepPhase.ROLLED_BACK, Reason.ROLLED_BACK, message, case.now),
                          story=[("undo", Reason.ROLLED_BACK, f"{name}: {message}")])
    elif outcome.state is IntentState.STALE and record.attempts + 1 < MAX_ATTEMPTS:
        await case.commit(replace(moved(record, StepPhase.UNDOING, Reason.TARGET_CHANGED, record.message, case.now),
                                  attempts=record.attempts + 1))
    else:
        message = f"{record.message}; the undo failed: {outcome.message}"
        await case.commit(moved(record, StepPhase.ESCALATED, Reason.ROLLBACK_FAILED, message, case.now),
                          story=[("undo", Reason.ROLLBACK_FAILED, f"{name}: {message}")])
    return None


async def _inverse(case: Case, name: str, made: Plan) -> Plan | None:
    """The plan that restores what was before, bound to the object as it is now. A stored one is used again."""
    earlier = [i for i in await case.services.store.intents(case.run.id)
               if i.step == f"{name}/undo" and i.state is not IntentState.STALE]
    if earlier:
        return earlier[-1].plan
    action, _ = action_of(case, case.step(name))
    async with case.services.guard("kubernetes"):
        now: Object | None = await case.read(made.change.target)
    if now is None or dig(now, "metadata", "uid") != made.uid:
        return None
    before = case.run.step(name).data.get("beforeObject", {})
    change = action.undo(before, now, made.change)
    if change is None:
        return None
    return replace(made, change=change, generation=int(dig(now, "metadata", "generation", default=0)),
                   resource_version=str(dig(now, "metadata", "resourceVersion", default="")), diff="")


def undoable(made: Plan) -> bool:
    return bool(made.change.before) and made.change.verb is Verb.PATCH

