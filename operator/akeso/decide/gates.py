"""Safety as an ordered chain of small, named, pure refusals. Gather once, judge in order, the first refusal wins.

Knows nothing of clients or databases: everything comes in as one frozen GateInput. A new gate is one function here and
one line in BEFORE_ACTING; the order is tested.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from akeso.decide import rules
from akeso.errors import Refused
from akeso.model.api.agent import AgentSpec
from akeso.model.api.workflow import ClusterWorkflowSpec, WorkflowSpec
from akeso.model.evidence import Facts, PastAction
from akeso.model.names import MANAGED, PAUSED, PROTECTED, Reason
from akeso.model.objects import Object, ObjectRef, dig, labels_of, marked
from akeso.model.plan import EffectClass
from akeso.model.selectors import selects
from akeso.sdk.action import Action, Params

IN_VAIN = ("Failed", "RolledBack", "Escalated")
IN_VAIN_LIMIT = 2  # the same action on the same object; a third try needs a person (reference/actions.md)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """All that the gates look at, read just before.

    namespace        the target's Namespace object; None for cluster-scoped targets
    service_account  "namespace:name", empty where the Workflow names none
    alert_firing     None where no alert started the run
    alert_namespace  the alert's `namespace` label (hostile text); None where no alert started the run
    past             earlier actions on this target by any workflow, this run's own left out
    busy_with        name of another run that holds the target now
    circuit_open     name of an open breaker that this action needs
    actions_last_hour  actions under this Agent in the last hour; only needed where it has maxActionsPerHour
    """

    now: datetime
    action: Action[Any]
    params: Params | None = None
    spec: WorkflowSpec
    agent: AgentSpec | None
    target: Object
    namespace: Object | None
    ref: ObjectRef
    workflow_namespace: str
    cluster_workflow: bool
    service_account: str
    alert_firing: bool | None
    alert_namespace: str | None
    on_resolved: str = "Verify"
    past: Sequence[PastAction] = ()
    cooldown_seconds: int = 0
    busy_with: str | None = None
    circuit_open: str | None = None
    protected_namespaces: Sequence[str] = ()
    facts: Facts = field(default_factory=dict)
    actions_last_hour: int = 0

    @property
    def changes(self) -> bool:
        """False for an action that only reads or only tells: then most gates have nothing to protect."""
        return self.action.effect not in (EffectClass.READ, EffectClass.OUTSIDE)


Gate = Callable[[GateInput], Refused | None]


def not_paused(given: GateInput) -> Refused | None:
    if given.spec.suspend:
        return Refused(Reason.SUSPENDED, "the Workflow is suspended", next_step="set its `spec.suspend` to false")
    if given.agent and given.agent.suspend:
        return Refused(Reason.SUSPENDED, "the Agent is suspended", next_step="set its `spec.suspend` to false")
    return _marked_refusal(given, PAUSED, Reason.PAUSED) if given.changes else None


def not_protected(given: GateInput) -> Refused | None:
    if given.action.effect is EffectClass.OUTSIDE:
        return None
    if any(fnmatchcase(given.ref.namespace, glob) for glob in given.protected_namespaces):
        return Refused(
            Reason.PROTECTED, f"namespace {given.ref.namespace} is protected by the operator's settings",
            next_step="act by hand, or take the namespace out of AKESO_PROTECTED_NAMESPACES")
    return _marked_refusal(given, PROTECTED, Reason.PROTECTED)


def opted_in(given: GateInput) -> Refused | None:
    """The object's own mark decides, then its namespace's. A cluster-scoped object needs its own: being the target of a
    ClusterWorkflow says what the author wants, not that the owner of the node agreed."""
    if given.action.effect is EffectClass.OUTSIDE:
        return None
    for obj in (given.target, given.namespace):
        mark = {dig(obj, "metadata", where, MANAGED) for where in ("labels", "annotations")} - {None}
        if mark == {"true"}:
            return None
        if mark:
            break  # "false" or contradictory: the owner said no
    cluster_scoped = given.namespace is None
    what = _noun(given.ref) if cluster_scoped else f"neither {_noun(given.ref)} nor namespace {given.ref.namespace}"
    verb = "is not" if cluster_scoped else "is"
    command = f"kubectl annotate {_noun(given.ref)} {MANAGED}=true --overwrite" if cluster_scoped or mark else (
        f"kubectl annotate namespace {given.ref.namespace} {MANAGED}=true")
    return Refused(Reason.NOT_MANAGED, f"{what} {verb} opted in with {MANAGED}: \"true\"", next_step=command)


def in_scope(given: GateInput) -> Refused | None:
    """A namespaced Workflow acts in its own namespace, on its alerts; a ClusterWorkflow where its selector matches."""
    if given.cluster_workflow:
        return _in_selected_namespace(given)
    own = given.workflow_namespace
    if given.action.cluster_scoped or not given.ref.kind.namespaced:
        return Refused(Reason.OUT_OF_SCOPE, f"{given.action.name} on {given.ref} reaches beyond a namespace",
                       next_step="only a ClusterWorkflow may do this")
    if given.ref.namespace != own:
        return Refused(
            Reason.OUT_OF_SCOPE, f"{given.ref} is in namespace {given.ref.namespace}, the Workflow in {own}",
            next_step=f"put the Workflow into namespace {given.ref.namespace}, or use a ClusterWorkflow")
    if given.alert_namespace is not None and given.alert_namespace != own:
        said = f"says namespace {given.alert_namespace[:63]!r}" if given.alert_namespace else "has no namespace label"
        return Refused(
            Reason.OUT_OF_SCOPE,
            f"the alert {said}, the Workflow is in {own}: nobody may aim an alert at another team's Workflow",
            next_step="keep the `namespace` label in the alert's expression, or use a ClusterWorkflow")
    return None


def has_identity(given: GateInput) -> Refused | None:
    namespace, _, name = given.service_account.partition(":")
    if (namespace and name) or given.action.effect is EffectClass.OUTSIDE:
        return None
    return Refused(
        Reason.NO_SERVICE_ACCOUNT, "the Workflow names no ServiceAccount to act as; the operator itself may not write",
        next_step="set `spec.serviceAccountName` (`akeso rbac` prints the Role that it needs)")


def action_allowed(given: GateInput) -> Refused | None:
    """Deny wins. An Agent without an allow list restricts nothing more than the Workflow and its ServiceAccount do."""
    if given.agent is None:
        return None
    name, lists = given.action.name, given.agent.actions
    denied = _matching(name, lists.deny)
    if denied:
        return Refused(Reason.ACTION_NOT_ALLOWED, f"the Agent denies {name} by `{denied}`",
                       next_step="take it out of the Agent's `spec.actions.deny`")
    if lists.allow and not _matching(name, lists.allow):
        return Refused(Reason.ACTION_NOT_ALLOWED, f"the Agent does not allow {name}",
                       next_step=f"add `{name}` to the Agent's `spec.actions.allow`")
    return None


def within_limits(given: GateInput) -> Refused | None:
    limit = given.agent.limits.max_actions_per_hour if given.agent else None
    if limit is None or not given.changes or given.actions_last_hour < limit:
        return None
    return Refused(
        Reason.LIMIT_REACHED, f"the Agent did {given.actions_last_hour} actions in the last hour, {limit} are allowed",
        next_step="wait, or raise the Agent's `spec.limits.maxActionsPerHour`")


def still_firing(given: GateInput) -> Refused | None:
    if given.alert_firing is not False or given.on_resolved == "Ignore" or not given.changes:
        return None
    return Refused(Reason.ALERT_RESOLVED, "the alert is no longer firing, so there is nothing to repair",
                   next_step="set the trigger's `onResolved: Ignore` where the action is wanted all the same")


def nothing_else_running(given: GateInput) -> Refused | None:
    if given.busy_with is None or not given.changes:
        return None
    return Refused(Reason.CONCURRENCY_FORBIDDEN, f"run {given.busy_with} is working on {given.ref}",
                   next_step=f"akeso describe {given.busy_with}")


def cooled_down(given: GateInput) -> Refused | None:
    done = [p for p in given.past if p.outcome != "Refused"]
    if not given.changes or not done:
        return None
    last = max(done, key=lambda p: p.at)
    left = timedelta(seconds=given.cooldown_seconds) - max(given.now - last.at, timedelta(0))
    if left <= timedelta(0):
        return None
    return Refused(
        Reason.COOLING_DOWN,
        f"{last.action} of {last.workflow} acted on {given.ref} at {last.at:%H:%M:%S} UTC ({last.outcome}); "
        f"{int(left.total_seconds() + 0.999)} of {given.cooldown_seconds} seconds are left",
        next_step="wait, or lower the trigger's `cooldownSeconds`")


def not_in_vain(given: GateInput) -> Refused | None:
    """What did not help twice will not help a third time."""
    tries = [p for p in given.past if p.action == given.action.name and p.outcome in IN_VAIN]
    if len(tries) < IN_VAIN_LIMIT or not given.changes:
        return None
    return Refused(
        Reason.INEFFECTIVE, f"{given.action.name} did not help {given.ref} {len(tries)} times already, last at "
        f"{max(p.at for p in tries):%Y-%m-%d %H:%M:%S} UTC", next_step="look for another cause; this needs a person")


def circuit_closed(given: GateInput) -> Refused | None:
    if given.circuit_open is None:
        return None
    return Refused(Reason.CIRCUIT_OPEN, f"circuit breaker {given.circuit_open} is open after repeated failures",
                   next_step="akeso doctor shows what failed; it closes by itself after a call that works")


def not_contradicted(given: GateInput) -> Refused | None:
    against = rules.contradictions(given.action.name, given.facts) if given.changes else ()
    if not against:
        return None
    return Refused(Reason.CONTRADICTED, f"facts speak against {given.action.name}: {'; '.join(against)}",
                   next_step="look at the facts with `akeso why`; this needs a person or another Workflow")


BEFORE_ACTING: Sequence[Gate] = (
    not_paused,            # a person said stop: first, and whatever else is true
    not_protected,         # never here
    opted_in,              # nobody said yes here
    in_scope,              # this Workflow may not reach there
    has_identity,
    action_allowed,
    within_limits,
    still_firing,          # from here on: the state of things now, which a later run may find otherwise
    nothing_else_running,
    cooled_down,
    not_in_vain,
    circuit_closed,
    not_contradicted,
)


def judge(gates: Sequence[Gate], given: GateInput) -> Refused | None:
    """The first refusal, or None where every gate lets it pass."""
    return next((refusal for gate in gates if (refusal := gate(given)) is not None), None)


def judge_all(gates: Sequence[Gate], given: GateInput) -> Mapping[str, Refused | None]:
    """Every gate's verdict by its name, in order; for `akeso simulate`."""
    return {gate.__name__: gate(given) for gate in gates}


def needs_approval(agent: AgentSpec | None, action: Action[Any]) -> bool:
    """True where a person must agree first: always, unless the Agent is Autonomous and does not name the action in
    requireApproval. What only reads or only tells waits only where requireApproval names it."""
    if agent is not None and _matching(action.name, agent.actions.require_approval):
        return True
    if action.effect in (EffectClass.READ, EffectClass.OUTSIDE):
        return False
    return agent is None or agent.autonomy != "Autonomous"


def _matching(name: str, globs: Sequence[str]) -> str | None:
    return next((glob for glob in globs if fnmatchcase(name, glob)), None)


def _noun(ref: ObjectRef) -> str:
    """`deployment/checkout -n shop`, as kubectl takes it."""
    where = f" -n {ref.namespace}" if ref.namespace else ""
    return f"{ref.kind.kind.lower()}/{ref.name}{where}"


def _marked_refusal(given: GateInput, mark: str, reason: str) -> Refused | None:
    if marked(given.target, mark):
        who = _noun(given.ref)
    elif given.namespace is not None and marked(given.namespace, mark):
        who = f"namespace/{given.ref.namespace}"
    else:
        return None
    holder = given.target if marked(given.target, mark) else given.namespace
    verb = "label" if labels_of(holder).get(mark) == "true" else "annotate"
    return Refused(reason, f"{who} is marked {mark}: \"true\"", next_step=f"kubectl {verb} {who} {mark}-")


def _in_selected_namespace(given: GateInput) -> Refused | None:
    if given.namespace is None or not isinstance(given.spec, ClusterWorkflowSpec):
        return None
    if selects(given.spec.namespace_selector, labels_of(given.namespace)):
        return None
    return Refused(
        Reason.OUT_OF_SCOPE, f"the ClusterWorkflow's namespaceSelector does not match namespace {given.ref.namespace}",
        next_step="label the namespace so that it matches, or widen `spec.namespaceSelector`")
