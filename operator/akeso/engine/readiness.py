"""Can this Workflow work? Everything that can be known before an alert comes, said with what to do next."""
from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from akeso.engine.advance import in_order
from akeso.model.api.kinds import Resource
from akeso.model.api.step import Step
from akeso.model.api.workflow import ClusterWorkflowSpec, WorkflowSpec
from akeso.model.names import Reason
from akeso.model.plan import EffectClass
from akeso.sdk.action import Action, Rule

if TYPE_CHECKING:
    from akeso.engine.services import Services


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a definition is not Ready. `aspect`: the condition that it also makes False."""

    reason: str
    message: str
    aspect: str = ""


async def problems_of(services: Services, resource: Resource[WorkflowSpec]) -> list[Problem]:
    """Empty where the Workflow can work. Raises ClusterAway where permissions cannot be asked now."""
    found = [*_steps(services, resource.spec), *_triggers(services, resource), *_policies(resource.spec),
             *_agent(services, resource)]
    if not found:
        found += await _permissions(services, resource)
    return found


def _steps(services: Services, spec: WorkflowSpec) -> Iterator[Problem]:
    try:
        list(in_order(spec.steps))
    except ValueError as error:
        yield Problem(Reason.CYCLE_IN_STEPS, f"{error}. Next: remove one `dependsOn` of the circle")
    for step in (*spec.steps, *spec.finally_):
        yield from _step(services, step)


def _step(services: Services, step: Step) -> Iterator[Problem]:
    for part, value in (("approval", step.approval), ("wait", step.wait), ("workflowRef", step.workflow_ref),
                        ("retry", step.retry), ("verify.promql", step.verify.promql if step.verify else None)):
        if value is not None:
            yield Problem(Reason.UNSUPPORTED,
                          f"step `{step.name}`: `{part}` is not supported by this version of Akeso. "
                          "Next: use `action`, `notify` or `verify` with `cel` or `alertResolved`"
                          + ("; an Agent with autonomy Approve asks before each action" if part == "approval" else ""))
    for where, expression in (("condition", step.condition and step.condition.cel),
                              ("verify", step.verify and step.verify.cel)):
        problem = services.conditions.check(expression) if expression else None
        if problem:
            yield Problem(Reason.CONDITION_INVALID,
                          f"step `{step.name}`: `{where}.cel`: {problem}. Next: correct the expression")
    if step.action is not None:
        yield from _action(services, step)


def _action(services: Services, step: Step) -> Iterator[Problem]:
    assert step.action is not None  # noqa: S101 only called for action steps
    names = services.registry.names()
    if step.action.name not in names:
        close = difflib.get_close_matches(step.action.name, names, 3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        yield Problem(Reason.UNKNOWN_ACTION,
                      f"step `{step.name}`: no action `{step.action.name}` is registered. Next: {hint}"
                      "list them with akeso actions")
        return
    target = step.action.target
    if target and "{{" in f"{target.kind}{target.name}{target.namespace}":
        yield Problem(Reason.UNSUPPORTED, f"step `{step.name}`: templates in `action.target` are not supported by this "
                      "version. Next: leave `target` out to act on the object behind the alert, or name it")
    try:
        services.registry[step.action.name].params.model_validate(step.action.with_)
    except ValidationError as error:
        said = "; ".join(f"with.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        yield Problem(Reason.INVALID_SPEC, f"step `{step.name}`: arguments of {step.action.name}: {said}. "
                      "Next: correct `action.with`; akeso actions -o json lists the parameters")


def _triggers(services: Services, resource: Resource[WorkflowSpec]) -> Iterator[Problem]:
    broken = services.definitions.broken.get(resource.key)
    if broken:
        yield Problem(Reason.INVALID_SPEC, f"{broken}. Next: correct the matcher", "TriggersAccepted")
    for trigger in resource.spec.triggers:
        if trigger.alert is None:
            yield Problem(Reason.UNSUPPORTED, f"trigger `{trigger.name}`: only `alert` triggers are supported by this "
                          "version of Akeso. Next: use an `alert` trigger", "TriggersAccepted")


def _policies(spec: WorkflowSpec) -> Iterator[Problem]:
    if spec.concurrency_policy == "Replace":
        yield Problem(Reason.UNSUPPORTED, "`concurrencyPolicy: Replace` is not supported by this version of Akeso. "
                      "Next: use Forbid (the default) or Allow")


def _agent(services: Services, resource: Resource[WorkflowSpec]) -> Iterator[Problem]:
    spec = resource.spec
    if spec.agent_ref is None:
        return
    namespace = getattr(spec.agent_ref, "namespace", resource.namespace)
    agent = services.definitions.get("Agent", namespace, spec.agent_ref.name)
    if agent is None:
        yield Problem(Reason.AGENT_NOT_FOUND, f"agent {spec.agent_ref.name} does not exist in namespace {namespace}. "
                      f"Next: kubectl apply an Agent named {spec.agent_ref.name}", "AgentReady")
        return
    for ref in agent.spec.model_endpoint_refs:
        if services.definitions.get("ModelEndpoint", namespace, ref.name) is None:
            yield Problem(
                Reason.ENDPOINT_NOT_FOUND,
                f"agent {agent.name} names ModelEndpoint {ref.name}, which does not exist in "
                f"namespace {namespace}. Next: kubectl apply it, or take it out of the Agent", "AgentReady")


async def _permissions(services: Services, resource: Resource[WorkflowSpec]) -> Sequence[Problem]:
    """What the ServiceAccount lacks, asked of the API server itself."""
    spec = resource.spec
    writing = [a for a in _actions(services, spec) if a.effect not in (EffectClass.READ, EffectClass.OUTSIDE)]
    if not writing:
        return []
    home = resource.namespace
    if isinstance(spec, ClusterWorkflowSpec):
        home = spec.agent_ref.namespace if spec.agent_ref else ""
    if not spec.service_account_name or not home:
        return [Problem(
            Reason.NO_SERVICE_ACCOUNT, "`serviceAccountName` must be set: every write is made as that account"
            + ("" if home else ", in the namespace of `agentRef`") + ". Next: name one, and give it what akeso rbac "
            "prints", "PermissionsGranted")]
    names = " ".join(sorted({a.name for a in writing}))
    wide = " --cluster-wide" if isinstance(spec, ClusterWorkflowSpec) else ""
    fix = f"akeso rbac --service-account {spec.service_account_name} -n {home}{wide} {names} | kubectl apply -f -"
    allowed, _ = await services.cluster.can_i_self(
        "impersonate", "", "serviceaccounts", "", home, spec.service_account_name)
    missing = [] if allowed else [f"the operator may not impersonate ServiceAccount {home}/{spec.service_account_name}"]
    user = f"system:serviceaccount:{home}:{spec.service_account_name}"
    where = "" if isinstance(spec, ClusterWorkflowSpec) else home
    for rule in services.registry.rules_for([a.name for a in writing]):
        missing += await _lacks(services, user, rule, where)
    if not missing:
        return []
    return [Problem(Reason.PERMISSION_MISSING, f"{'; '.join(missing)}. Next: {fix}", "PermissionsGranted")]


async def _lacks(services: Services, user: str, rule: Rule, namespace: str) -> list[str]:
    lacking = []
    resource, _, subresource = rule.resource.partition("/")
    for verb in rule.verbs:
        ok, _ = await services.cluster.can_i(user, verb, rule.group, resource, subresource, namespace, "")
        if not ok:
            lacking.append(f"{user} may not {verb} {rule.resource} in {namespace or 'every namespace'}")
    return lacking


def _actions(services: Services, spec: WorkflowSpec) -> list[Action[Any]]:
    return [services.registry[s.action.name] for s in (*spec.steps, *spec.finally_) if s.action]
