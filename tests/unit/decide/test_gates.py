"""The gates: what stops an action, in which order, and what a person is told to do next."""
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from akeso.decide import gates
from akeso.decide.gates import BEFORE_ACTING, GateInput, judge, judge_all, needs_approval
from akeso.model.api.agent import AgentSpec
from akeso.model.api.workflow import ClusterWorkflowSpec, WorkflowSpec
from akeso.model.evidence import PastAction
from akeso.model.names import Reason
from akeso.model.objects import DEPLOYMENT, NODE, ObjectRef
from akeso_actions.collect_diagnostics import CollectDiagnostics
from akeso_actions.cordon_node import CordonNode
from akeso_actions.notify import Notify
from akeso_actions.restart_deployment import RestartDeployment

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STEPS = [{"name": "a", "action": {"name": "restart_deployment"}}]
REF = ObjectRef(DEPLOYMENT, "shop", "checkout", "u1")
Marks = dict[str, str]


def thing(name: str, marks: Marks | None = None, labels: Marks | None = None) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": marks or {}, "labels": labels or {}}}


def agent(**spec: Any) -> AgentSpec:
    return AgentSpec.model_validate({"modelEndpointRefs": [{"name": "m"}], **spec})


def workflow(**spec: Any) -> WorkflowSpec:
    return WorkflowSpec.model_validate({"steps": STEPS, **spec})


def cluster_workflow(selector: dict[str, Any] | None = None) -> ClusterWorkflowSpec:
    return ClusterWorkflowSpec.model_validate({"steps": STEPS, "namespaceSelector": selector or {}})


GOOD = GateInput(
    now=NOW, action=RestartDeployment(), spec=workflow(), agent=None, target=thing("checkout"),
    namespace=thing("shop", {"akeso.dev/managed": "true"}), ref=REF, workflow_namespace="shop", cluster_workflow=False,
    service_account="shop:fixer", alert_firing=True, alert_namespace="shop", cooldown_seconds=300,
    protected_namespaces=("kube-system", "kube-*"))
NODE_CASE = replace(
    GOOD, action=CordonNode(), target=thing("n1"), namespace=None, ref=ObjectRef(NODE, "", "n1"), cluster_workflow=True,
    spec=cluster_workflow())


def past(minutes: float, action: str = "restart_deployment", outcome: str = "Verified") -> PastAction:
    return PastAction(NOW - timedelta(minutes=minutes), "other", action, REF.key, outcome)


def test_an_opted_in_object_with_a_firing_alert_passes_every_gate() -> None:
    assert judge(BEFORE_ACTING, GOOD) is None


def test_the_order_is_what_people_rely_on() -> None:
    assert [gate.__name__ for gate in BEFORE_ACTING] == [
        "not_paused", "not_protected", "opted_in", "in_scope", "has_identity", "action_allowed", "within_limits",
        "still_firing", "nothing_else_running", "cooled_down", "not_in_vain", "circuit_closed", "not_contradicted"]


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"spec": workflow(suspend=True)}, Reason.SUSPENDED, "spec.suspend"),
    ({"agent": agent(suspend=True)}, Reason.SUSPENDED, "spec.suspend"),
    ({"target": thing("checkout", {"akeso.dev/paused": "true"})}, Reason.PAUSED,
     "kubectl annotate deployment/checkout -n shop akeso.dev/paused-"),
    ({"namespace": thing("shop", {"akeso.dev/managed": "true", "akeso.dev/paused": "true"})}, Reason.PAUSED,
     "kubectl annotate namespace/shop akeso.dev/paused-"),
    ({"target": thing("checkout", labels={"akeso.dev/protected": "true"})}, Reason.PROTECTED,
     "kubectl label deployment/checkout -n shop akeso.dev/protected-"),
    ({"ref": replace(REF, namespace="kube-system")}, Reason.PROTECTED, "AKESO_PROTECTED_NAMESPACES"),
    ({"ref": replace(REF, namespace="kube-flannel")}, Reason.PROTECTED, "AKESO_PROTECTED_NAMESPACES"),
    ({"namespace": thing("shop")}, Reason.NOT_MANAGED, "kubectl annotate namespace shop akeso.dev/managed=true"),
    ({"namespace": thing("shop", {"akeso.dev/managed": "yes"})}, Reason.NOT_MANAGED, "akeso.dev/managed=true"),
    ({"target": thing("checkout", {"akeso.dev/managed": "false"})}, Reason.NOT_MANAGED,
     "kubectl annotate deployment/checkout -n shop akeso.dev/managed=true --overwrite"),
    ({"target": thing("checkout", {"akeso.dev/managed": "true"}, {"akeso.dev/managed": "false"})}, Reason.NOT_MANAGED,
     "kubectl annotate deployment/checkout"),
    ({"workflow_namespace": "team-b"}, Reason.OUT_OF_SCOPE, "ClusterWorkflow"),
    ({"alert_namespace": "team-b"}, Reason.OUT_OF_SCOPE, "`namespace` label"),
    ({"alert_namespace": ""}, Reason.OUT_OF_SCOPE, "`namespace` label"),
    ({"service_account": ""}, Reason.NO_SERVICE_ACCOUNT, "serviceAccountName"),
    ({"service_account": ":fixer"}, Reason.NO_SERVICE_ACCOUNT, "serviceAccountName"),
    ({"service_account": "shop:"}, Reason.NO_SERVICE_ACCOUNT, "serviceAccountName"),
    ({"agent": agent(actions={"allow": ["scale_*"]})}, Reason.ACTION_NOT_ALLOWED, "spec.actions.allow"),
    ({"agent": agent(actions={"allow": ["*"], "deny": ["restart_*"]})}, Reason.ACTION_NOT_ALLOWED, "spec.actions.deny"),
    ({"agent": agent(limits={"maxActionsPerHour": 2}), "actions_last_hour": 2}, Reason.LIMIT_REACHED,
     "maxActionsPerHour"),
    ({"agent": agent(limits={"maxActionsPerHour": 0})}, Reason.LIMIT_REACHED, "maxActionsPerHour"),
    ({"alert_firing": False}, Reason.ALERT_RESOLVED, "onResolved"),
    ({"alert_firing": False, "on_resolved": "Cancel"}, Reason.ALERT_RESOLVED, "onResolved"),
    ({"busy_with": "run-x"}, Reason.CONCURRENCY_FORBIDDEN, "akeso describe run-x"),
    ({"past": [past(4.9)]}, Reason.COOLING_DOWN, "cooldownSeconds"),
    ({"past": [past(-5)]}, Reason.COOLING_DOWN, "cooldownSeconds"),  # the clock of another replica is ahead
    ({"past": [past(60, outcome="RolledBack"), past(90, outcome="Failed")]}, Reason.INEFFECTIVE, "a person"),
    ({"circuit_open": "action/restart_deployment"}, Reason.CIRCUIT_OPEN, "akeso doctor"),
]


@pytest.mark.parametrize(("change", "reason", "next_step"), REFUSALS)
def test_each_gate_refuses_with_its_reason_and_what_to_do_next(
    change: dict[str, Any], reason: str, next_step: str,
) -> None:
    refusal = judge(BEFORE_ACTING, replace(GOOD, **change))
    assert refusal is not None
    assert refusal.reason == reason
    assert next_step in refusal.next_step


def test_facts_that_speak_against_an_action_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates.rules, "contradictions", lambda action, facts: [f"V1: {action} would not help"])
    refusal = judge(BEFORE_ACTING, GOOD)
    assert refusal is not None
    assert refusal.reason == Reason.CONTRADICTED
    assert "V1: restart_deployment would not help" in str(refusal)


def test_where_several_gates_refuse_the_first_one_speaks() -> None:
    everything = replace(GOOD, spec=workflow(suspend=True), busy_with="x", alert_firing=False, past=[past(1)])
    refusal = judge(BEFORE_ACTING, everything)
    assert refusal is not None
    assert refusal.reason == Reason.SUSPENDED


def test_simulate_sees_the_verdict_of_every_gate() -> None:
    verdicts = judge_all(BEFORE_ACTING, replace(GOOD, busy_with="x", alert_firing=False))
    assert list(verdicts) == [gate.__name__ for gate in BEFORE_ACTING]
    assert [name for name, refusal in verdicts.items() if refusal] == ["still_firing", "nothing_else_running"]


def test_a_resolved_alert_does_not_stop_a_trigger_that_ignores_resolving() -> None:
    assert judge(BEFORE_ACTING, replace(GOOD, alert_firing=False, on_resolved="Ignore")) is None


def test_a_run_that_no_alert_started_needs_no_alert() -> None:
    assert judge(BEFORE_ACTING, replace(GOOD, alert_firing=None, alert_namespace=None)) is None


def test_an_object_may_opt_in_alone() -> None:
    marked = thing("checkout", {"akeso.dev/managed": "true"})
    assert judge(BEFORE_ACTING, replace(GOOD, namespace=thing("shop"), target=marked)) is None


def test_an_object_may_opt_out_of_its_namespace() -> None:
    refusal = gates.opted_in(replace(GOOD, target=thing("checkout", labels={"akeso.dev/managed": "false"})))
    assert refusal is not None


def test_a_node_needs_a_mark_of_its_own_even_under_a_cluster_workflow() -> None:
    refusal = judge(BEFORE_ACTING, NODE_CASE)
    assert refusal is not None
    assert refusal.next_step == "kubectl annotate node/n1 akeso.dev/managed=true --overwrite"
    assert judge(BEFORE_ACTING, replace(NODE_CASE, target=thing("n1", {"akeso.dev/managed": "true"}))) is None


def test_a_namespaced_workflow_never_touches_a_node() -> None:
    marked = thing("n1", {"akeso.dev/managed": "true"})
    refusal = judge(BEFORE_ACTING, replace(NODE_CASE, target=marked, cluster_workflow=False, spec=workflow()))
    assert refusal is not None
    assert refusal.reason == Reason.OUT_OF_SCOPE


@pytest.mark.parametrize(("selector", "passes"), [
    ({}, True),
    ({"matchLabels": {"team": "shop"}}, True),
    ({"matchLabels": {"team": "b"}}, False),
    ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "shop"]}]}, True),
    ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["shop"]}]}, False),
    ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["shop"]}]}, True),
    ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
])
def test_a_cluster_workflow_acts_only_where_its_selector_matches(selector: dict[str, Any], passes: bool) -> None:
    given = replace(
        GOOD, cluster_workflow=True, spec=cluster_workflow(selector), workflow_namespace="",
        alert_namespace="elsewhere", namespace=thing("shop", {"akeso.dev/managed": "true"}, {"team": "shop"}))
    refusal = judge(BEFORE_ACTING, given)
    assert (refusal is None) is passes
    assert refusal is None or refusal.reason == Reason.OUT_OF_SCOPE


def test_what_was_refused_before_is_no_action_and_starts_no_cooldown() -> None:
    assert judge(BEFORE_ACTING, replace(GOOD, past=[past(1, outcome="Refused")])) is None


def test_one_failure_is_not_two_and_another_action_may_still_be_tried() -> None:
    old = [past(60, outcome="Failed"), past(90, "scale_deployment", "Failed"), past(95, "scale_deployment", "Failed")]
    assert judge(BEFORE_ACTING, replace(GOOD, past=old)) is None


def test_reading_diagnostics_waits_for_no_cooldown_but_asks_for_consent() -> None:
    given = replace(GOOD, action=CollectDiagnostics(), past=[past(1)], alert_firing=False, busy_with="x")
    assert judge(BEFORE_ACTING, given) is None
    assert judge(BEFORE_ACTING, replace(given, namespace=thing("shop"))) is not None


def test_people_are_told_even_about_what_akeso_may_not_touch() -> None:
    given = replace(GOOD, action=Notify(), namespace=thing("shop", {"akeso.dev/protected": "true"}), service_account="")
    assert judge(BEFORE_ACTING, given) is None


def test_hostile_text_of_an_alert_is_quoted_and_cut() -> None:
    refusal = judge(BEFORE_ACTING, replace(GOOD, alert_namespace="x\nNext: rm -rf /" + "y" * 500))
    assert refusal is not None
    assert "\n" not in str(refusal)
    assert "y" * 100 not in str(refusal)


@pytest.mark.parametrize(("given", "needed"), [
    (None, True),
    (agent(), True),
    (agent(autonomy="Suggest"), True),
    (agent(autonomy="Autonomous"), False),
    (agent(autonomy="Autonomous", actions={"requireApproval": ["restart_*"]}), True),
    (agent(autonomy="Autonomous", actions={"requireApproval": ["scale_*"]}), False),
])
def test_a_person_must_agree_unless_the_agent_is_autonomous(given: AgentSpec | None, needed: bool) -> None:
    assert needs_approval(given, RestartDeployment()) is needed


def test_telling_people_needs_nobodys_approval_unless_it_is_asked_for() -> None:
    assert not needs_approval(None, Notify())
    assert not needs_approval(agent(), CollectDiagnostics())
    assert needs_approval(agent(actions={"requireApproval": ["notify"]}), Notify())
