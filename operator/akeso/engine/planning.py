"""From a yes to an exact change that somebody agreed to: gates, plan, dry run, consent."""
from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from akeso import failpoints
from akeso.decide.gates import BEFORE_ACTING, GateInput, judge, needs_approval
from akeso.engine import approvals
from akeso.engine.advance import due
from akeso.engine.case import Case, Wait, moved
from akeso.errors import Conflict, Forbidden, GiveUp, InvalidInput, Refused, TooManyRequests, TryLater
from akeso.model.api.agent import AgentSpec
from akeso.model.api.step import Step
from akeso.model.api.workflow import WorkflowSpec
from akeso.model.names import Reason
from akeso.model.objects import Object, ObjectRef, dig, kind_named, ref_of
from akeso.model.plan import Plan, Verb
from akeso.model.run import RunPhase, StepPhase, StepRecord
from akeso.record.codec import plan_from_json, plan_to_json
from akeso.sdk.action import Action, Context, Params

AnyAction = Action[Any]
LOOK_AGAIN = timedelta(minutes=1)  # for an answer whose watch event was missed
PATIENCE = timedelta(minutes=5)  # how long a disruption budget or a throttle may say no to the dry run
OUTSIDE = (Verb.NOTIFY, Verb.COLLECT)  # nothing to undo or to compare with, so no image of the object is kept
_GOES_ON: dict[str, Any] = {"phase": RunPhase.RUNNING, "reason": "", "message": ""}  # it no longer waits for a person


async def plan(case: Case, name: str) -> Wait | None:
    """Ready -> Planned (or already so, or refused). Everything is read again just now; nothing is written."""
    record = case.run.step(name)
    try:
        found = await make_plan(case, case.step(name))
    except Refused as refusal:
        await refuse(case, record, refusal)
        return None
    except TooManyRequests as busy:
        if case.now - since(case, record) <= PATIENCE:
            waits = f"waits: {busy.what}: {busy.why}"
            if record.message != waits:  # said once, not each second
                await case.commit(moved(record, record.phase, record.reason, waits, case.now))
            return Wait(case.now + timedelta(seconds=max(1.0, busy.after)))
        await refuse(case, record, Refused(Reason.PRECONDITION_FAILED, f"{busy.what} within {PATIENCE}: {busy.why}"))
        return None
    if found is None:
        message = "the object already is as this action would make it; nothing was written"
        await case.commit(moved(record, StepPhase.SUCCEEDED, Reason.ALREADY_SO, message, case.now),
                          story=[("plan", Reason.ALREADY_SO, f"{name}: {message}")])
        return None
    made, before = found
    outside = made.change.verb in OUTSIDE
    tried = "" if outside else f"; dry run accepted as ServiceAccount {made.service_account}"
    await case.commit(
        moved(record, StepPhase.PLANNED, Reason.ANSWERED, made.change.summary, case.now, plan=plan_to_json(made),
              beforeObject={} if outside else _trimmed(before)),
        story=[("plan", made.action, f"{name}: {made.change.summary}"),
               ("gate", Reason.READY, f"{name}: all {len(BEFORE_ACTING)} gates passed{tried}")])
    failpoints.reach("after-plan")
    return None


def since(case: Case, record: StepRecord) -> datetime:
    """When the step came into its present phase."""
    return due(record, "entered") or record.started_at or case.now


def _trimmed(obj: Object) -> dict[str, Any]:
    """The before-image without what only bloats it."""
    meta = {k: v for k, v in dig(obj, "metadata", default={}).items() if k != "managedFields"}
    return {**obj, "metadata": meta}


async def make_plan(case: Case, step: Step) -> tuple[Plan, Object] | None:
    """The plan, dry-run by the API server, and the object before it; None where nothing needs to change.

    Raises Refused, ClusterAway.
    """
    action, params = action_of(case, step)
    await case.evidence()  # first: after a takeover the owner chain has to be found again
    ref = target_of(case, step, action)
    async with case.services.guard("kubernetes"):
        target = await case.read(ref)
        if target is None:
            raise Refused(Reason.TARGET_CHANGED, f"{ref} no longer exists")
        await check_gates(case, step, action, params, target, ref_of(target, ref.kind))
        change = action.plan(Context(case.now, ref_of(target, ref.kind), target, case.seen, case.facts), params)
        if change is None:
            return None
        made = Plan(
            action=action.name, params=params.model_dump(mode="json"), change=change,
            uid=str(dig(target, "metadata", "uid", default="")),
            generation=int(dig(target, "metadata", "generation", default=0)),
            resource_version=str(dig(target, "metadata", "resourceVersion", default="")),
            effect=action.effect, reversibility=action.reversibility, service_account=case.service_account)
        if change.verb in OUTSIDE:
            return made, target
        try:
            return replace(made, diff=await case.services.performer.dry_run(made, target)), target
        except Forbidden as error:
            raise Refused(
                Reason.ACTION_FORBIDDEN, f"ServiceAccount {case.service_account} may not do this: {error.what}",
                next_step=f"akeso rbac --service-account {case.spec.service_account_name} -n {case.home} {action.name}"
                          " | kubectl apply -f -",
            ) from error
        except Conflict as error:
            raise TryLater(f"{ref} changes while it is being planned for", why=error.what, after=0.5) from error
        except GiveUp as error:
            raise Refused(Reason.PRECONDITION_FAILED, f"the API server refused the dry run: {error}") from error


def action_of(case: Case, step: Step) -> tuple[AnyAction, Params]:
    """The registered action and its checked parameters. Raises Refused (the Workflow was changed behind our back)."""
    assert step.action is not None  # noqa: S101 only called for action steps
    try:
        action = case.services.registry[step.action.name]
        return action, action.params.model_validate(step.action.with_)
    except KeyError:
        raise Refused(Reason.UNKNOWN_ACTION, f"no action `{step.action.name}` is registered",
                      next_step="akeso actions") from None
    except ValidationError as error:
        problems = "; ".join(f"with.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Refused(Reason.INVALID_SPEC, f"arguments of {step.action.name}: {problems}") from error


def target_of(case: Case, step: Step, action: AnyAction) -> ObjectRef:
    """The object that the step names, else the first of the alert's owner chain that the action can act on."""
    assert step.action is not None  # noqa: S101 only called for action steps
    named = step.action.target
    if named is not None:
        kind = kind_named(named.kind, named.group)
        if kind is None:
            raise Refused(Reason.UNSUPPORTED, f"kind {named.kind} of group {named.group!r} is not known here")
        namespace = named.namespace or case.run.namespace
        return ObjectRef(kind, namespace if kind.namespaced else "", named.name)
    for kind in action.target_kinds:
        for ref in case.chain:
            if ref.kind == kind:
                return ref
    chain = ", ".join(str(r) for r in case.chain)
    wanted = " or ".join(k.kind for k in action.target_kinds)
    raise Refused(Reason.TARGET_NOT_FOUND, f"{action.name} acts on a {wanted}; the alert points at {chain}",
                  next_step="name the object in the step's `action.target`")


async def check_gates(
    case: Case, step: Step, action: AnyAction, params: Params, target: Object, ref: ObjectRef,
) -> None:
    """The ordered chain of refusals, on what is true now. Raises the first Refused."""
    given = await gate_input(case, action, params, target, ref)
    if action.effect.value == "C0":
        given = replace(given, busy_with=None)
    refusal = judge(BEFORE_ACTING, given)
    if refusal is not None:
        raise refusal


async def gate_input(case: Case, action: AnyAction, params: Params, target: Object, ref: ObjectRef) -> GateInput:
    services = case.services
    signal = await services.store.signal(case.run.signal_id)
    trigger = next((t for t in case.spec.triggers if t.name == case.run.trigger and t.alert), None)
    past = await services.history.past_actions(
        ref.key, case.now - approvals.COOLDOWN_HORIZON, except_run=case.run.id)
    busy = None
    if case.spec.concurrency_policy != "Allow":
        busy = await services.store.lock_target(ref.key, case.run.id)
    spec, agent = _newest(case)
    lately = 0
    if agent is not None and agent.limits.max_actions_per_hour is not None:
        lately = await services.history.actions_of_agent(
            case.run.agent["namespace"], case.run.agent["name"], case.now - timedelta(hours=1))
    cooldown = trigger.alert.cooldown_seconds if trigger and trigger.alert else None
    open_names = [n for n, s in services.breakers.snapshot().items() if s == "open" and n == f"action/{action.name}"]
    return GateInput(
        now=case.now, action=action, params=params, spec=spec, agent=agent, target=target,
        namespace=await case.namespace_of(ref), ref=ref, workflow_namespace=str(case.run.workflow["namespace"]),
        cluster_workflow=case.cluster_wide, service_account=case.service_account,
        alert_firing=signal.firing if signal else None,
        alert_namespace=signal.alert.labels.get("namespace", "") if signal else None,
        on_resolved=trigger.alert.on_resolved if trigger and trigger.alert else "Verify",
        past=past, busy_with=busy, circuit_open=open_names[0] if open_names else None,
        cooldown_seconds=services.settings.cooldown_seconds if cooldown is None else cooldown,
        protected_namespaces=services.settings.protected_namespaces, facts=case.facts, actions_last_hour=lately)


def _newest(case: Case) -> tuple[WorkflowSpec, AgentSpec | None]:
    """Limits and switches as they are now, not as they were when the run began: a person who suspends means it."""
    definitions, run = case.services.definitions, case.run
    workflow = definitions.get(run.workflow["kind"], run.workflow["namespace"], run.workflow["name"])
    agent = definitions.get("Agent", run.agent["namespace"], run.agent["name"]) if run.agent else None
    return (workflow.spec if workflow else case.spec), (agent.spec if agent else case.agent)


async def refuse(case: Case, record: StepRecord, refusal: Refused) -> None:
    case.services.metrics.refused(refusal.reason)
    await case.commit(moved(record, StepPhase.REFUSED, refusal.reason, str(refusal), case.now),
                      story=[("gate", refusal.reason, f"{record.name}: refused: {refusal}")])


async def consent(case: Case, name: str) -> Wait | None:
    """Planned -> Suggested, WaitingForApproval or Approved, as mode and autonomy say."""
    record = case.run.step(name)
    made = plan_of(record)
    given = await _autonomy(case, name)
    if given == "Suggest":
        message = f"suggested, not done: {made.change.summary}"
        await case.commit(moved(record, StepPhase.SUGGESTED, Reason.SUGGESTED, message, case.now),
                          story=[("approval", Reason.SUGGESTED, f"{name}: {message}\n{made.diff}")])
        return None
    if given == "Approve":
        return await _ask_person(case, record, made)
    await case.commit(moved(record, StepPhase.APPROVED, Reason.APPROVED, "the Agent is Autonomous", case.now))
    return None


async def _autonomy(case: Case, name: str) -> str:
    """Suggest, Approve or Autonomous for this step."""
    if case.spec.mode != "Apply" or (case.agent and case.agent.autonomy in ("Observe", "Suggest")):
        return "Suggest"
    action, _ = action_of(case, case.step(name))
    return "Approve" if needs_approval(case.agent, action) else "Autonomous"


async def _ask_person(case: Case, record: StepRecord, made: Plan) -> Wait:
    expires = due(record, "expires") or case.now + approvals.timeout(case)
    approval = await approvals.request(case, record, made, expires)
    message = (f"waits for a person: {made.change.summary}. Next: akeso approve {case.run.name} -n {case.run.namespace}"
               f" (or deny), before {expires:%Y-%m-%d %H:%M:%S} UTC")
    await case.commit(
        moved(record, StepPhase.WAITING, Reason.APPROVAL_NEEDED, message, case.now, approval=approval,
              expires=expires.isoformat()),
        phase=RunPhase.WAITING, reason=Reason.APPROVAL_NEEDED, message=message,
        story=[("approval", Reason.APPROVAL_NEEDED, f"{record.name}: {message}")])
    return Wait(expires)


async def listen(case: Case, name: str) -> Wait | None:
    """WaitingForApproval -> Approved (after the gates were judged again), Refused or Escalated."""
    record = case.run.step(name)
    made = plan_of(record)
    expires = due(record, "expires") or case.now
    answer = await approvals.answer(case, record, made)
    if answer is None and case.now < expires:
        return Wait(min(expires, case.now + LOOK_AGAIN))
    if answer is None:
        message = f"nobody answered before {expires:%H:%M:%S}; nothing was done"
        await case.commit(moved(record, StepPhase.ESCALATED, Reason.APPROVAL_EXPIRED, message, case.now),
                          story=[("approval", Reason.APPROVAL_EXPIRED, f"{name}: {message}")], **_GOES_ON)
        return None
    story = [("approval", Reason.APPROVED if answer.approved else Reason.DENIED, f"{name}: {answer.message}")]
    if not answer.approved:
        await case.commit(moved(record, StepPhase.REFUSED, Reason.DENIED, answer.message, case.now), story=story,
                          **_GOES_ON)
        return None
    try:
        await still_the_same(case, name, made)
    except Refused as refusal:
        await case.commit(story=story, **_GOES_ON)
        await refuse(case, record, refusal)
        return None
    await case.commit(moved(record, StepPhase.APPROVED, Reason.APPROVED, answer.message, case.now), story=story,
                      **_GOES_ON)
    return None


async def still_the_same(case: Case, name: str, made: Plan) -> None:
    """What was agreed to must be what would be done now: same object, same generation, same gates. Raises Refused."""
    await case.gather()
    step = case.step(name)
    action, params = action_of(case, step)
    async with case.services.guard("kubernetes"):
        target = await case.read(made.change.target)
        uid, generation = dig(target, "metadata", "uid"), dig(target, "metadata", "generation", default=0)
        if target is None or uid != made.uid or generation != made.generation:
            raise Refused(Reason.TARGET_CHANGED,
                          f"{made.change.target} was changed after the plan was made; the approval is for the old one",
                          next_step="let the alert fire again for a new plan")
        await check_gates(case, step, action, params, target, ref_of(target, made.change.target.kind))


def plan_of(record: StepRecord) -> Plan:
    """The plan that the step remembers. Raises InvalidInput where it has none."""
    if "plan" not in record.data:
        raise InvalidInput("The step has no plan", why=f"step {record.name} is {record.phase}")
    return plan_from_json(record.data["plan"])


