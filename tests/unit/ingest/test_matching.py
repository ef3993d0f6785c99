"""Which Workflows an alert starts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.unit.ingest.shop import alert

from akeso.ingest.matching import Definitions, judge, match, why_nothing
from akeso.ingest.patterns import alertnames, compile_matcher, problems
from akeso.model.alert import Alert
from akeso.model.api.kinds import AGENT, CLUSTER_WORKFLOW, WORKFLOW, Resource, parse
from akeso.model.api.trigger import Matcher

STEPS = [{"name": "s", "action": {"name": "restart_deployment"}}]


def trigger(name: str = "t", *matchers: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "alert": {"matchers": list(matchers) or [{"name": "alertname", "value": "A"}]}}


def workflow(
    name: str = "w", namespace: str = "shop", *, triggers: list[Any] | None = None, status: Any = None, **spec: Any
) -> Resource[Any]:
    body = {"steps": STEPS, "triggers": [trigger()] if triggers is None else triggers, **spec}
    meta = {"name": name, "namespace": namespace, "uid": f"u-{name}", "generation": 2}
    return parse(WORKFLOW, {"metadata": meta, "spec": body, "status": status or {}})


def cluster_workflow(name: str = "c", selector: dict[str, Any] | None = None, **spec: Any) -> Resource[Any]:
    body = {"steps": STEPS, "triggers": [trigger()], "namespaceSelector": selector or {}, **spec}
    return parse(CLUSTER_WORKFLOW, {"metadata": {"name": name, "uid": f"u-{name}", "generation": 1}, "spec": body})


def agent(name: str, namespace: str = "shop") -> Resource[Any]:
    return parse(
        AGENT,
        {
            "metadata": {"name": name, "namespace": namespace, "uid": "a", "generation": 1},
            "spec": {"modelEndpointRefs": [{"name": "rules"}]},
        },
    )


def having(*resources: Resource[Any]) -> Definitions:
    found = Definitions()
    found.synced.set()
    for one in resources:
        found.put(one)
    return found


def names(fired: Alert, definitions: Definitions) -> list[str]:
    return [m.workflow.name for m in match(fired, definitions)]


A = alert("A", namespace="shop", severity="critical")


@pytest.mark.parametrize(
    ("kind", "value", "label", "matches"),
    [
        ("=", "x", "x", True),
        ("=", "x", "xy", False),
        ("=", "", None, True),
        ("!=", "x", "x", False),
        ("!=", "x", None, True),
        ("=~", "a|b", "b", True),
        ("=~", "a|b", "ab", False),
        ("=~", "a|bc", "abc", False),
        ("=~", "x.*", "xyz", True),
        ("=~", "y", "xyz", False),
        ("=~", "", None, True),
        ("=~", ".+", None, False),
        ("=~", "x", "x\n", False),
        ("!~", "x.*", "xyz", False),
        ("!~", "x.*", "yx", True),
        ("!~", ".+", None, True),
        ("=~", "é+", "éé", True),
    ],
)
def test_matchers_are_those_of_alertmanager(kind: Any, value: str, label: str | None, matches: bool) -> None:
    labels = {} if label is None else {"l": label}
    assert compile_matcher(Matcher(name="l", value=value, match_type=kind))(labels) is matches


def test_an_expression_made_to_run_for_ever_does_not() -> None:
    evil = compile_matcher(Matcher(name="l", value="(a+)+(b|c)*(.*a){20}$", match_type="=~"))
    started = time.process_time()
    evil({"l": "a" * 4096 + "!"})
    assert time.process_time() - started < 5  # a backtracking engine would not end in a lifetime


@pytest.mark.parametrize("expression", ["(", "(?=x)", r"(a)\1", "(a{1000}){1000}", "[z-a]", "*"])
def test_a_bad_expression_is_named_and_breaks_only_its_own_trigger(expression: str) -> None:
    bad = {"name": "l", "value": expression, "matchType": "=~"}
    definitions = having(workflow("bad", triggers=[trigger("one", bad), trigger("two")]), workflow("good"))
    assert problems([Matcher(name="l", value=expression, match_type="=~")])
    assert "trigger one" in definitions.broken["Workflow/shop/bad"]
    assert names(A, definitions) == ["bad", "good"]


def test_a_workflow_hears_only_the_alerts_of_its_own_namespace() -> None:
    definitions = having(workflow("mine"), workflow("theirs", "other"))
    assert names(A, definitions) == ["mine"]
    assert names(alert("A"), definitions) == []
    assert names(alert("A", namespace="monitoring", exported_namespace="shop"), definitions) == []


def test_priority_orders_and_names_break_ties() -> None:
    definitions = having(workflow("b"), workflow("a"), workflow("top", priority=5), workflow("last", priority=-1))
    assert names(A, definitions) == ["top", "a", "b", "last"]


def test_all_matchers_must_agree_and_the_first_agreeing_trigger_counts_once() -> None:
    severe = {"name": "severity", "value": "critical"}
    name = {"name": "alertname", "value": "A|B", "matchType": "=~"}
    mild = {"name": "severity", "value": "warning"}
    definitions = having(
        workflow(triggers=[trigger("mild", name, mild), trigger("severe", name, severe), trigger("any")])
    )
    (found,) = match(A, definitions)
    assert found.trigger.name == "severe"


def test_templates_and_other_triggers_never_match() -> None:
    clock = {"name": "t", "schedule": {"cron": "0 * * * *"}}
    assert names(A, having(workflow("template", triggers=[]), workflow("clock", triggers=[clock]))) == []


def test_a_suspended_workflow_is_passed_over_with_its_reason() -> None:
    judged = judge(A, having(workflow(suspend=True)))
    assert judged.matched == ()
    assert judged.passed_over == ("Workflow/shop/w: it is suspended",)


@pytest.mark.parametrize(
    ("status", "observed", "starts"),
    [
        ("True", 2, True),
        ("False", 2, False),
        ("Unknown", 2, True),
        ("False", 1, True),
    ],
)
def test_only_a_current_ready_false_keeps_a_workflow_back(status: str, observed: int, starts: bool) -> None:
    conditions = [
        {"type": "Ready", "status": status, "reason": "AgentNotFound", "message": "m", "observedGeneration": observed}
    ]
    judged = judge(A, having(workflow(status={"conditions": conditions})))
    assert bool(judged.matched) is starts
    assert starts or "AgentNotFound" in judged.passed_over[0]


def test_the_reconciler_s_verdict_is_newer_than_the_status() -> None:
    definitions = having(workflow())
    definitions.set_ready("Workflow", "shop", "w", ready=False)
    assert names(A, definitions) == []
    definitions.set_ready("Workflow", "shop", "w", ready=True)
    assert names(A, definitions) == ["w"]
    definitions.set_ready("Workflow", "shop", "unknown", ready=False)


def test_an_agent_that_is_not_known_keeps_its_workflow_back() -> None:
    definitions = having(workflow(agentRef={"name": "sre"}))
    assert names(A, definitions) == []
    definitions.put(agent("sre"))
    assert match(A, definitions)[0].agent == agent("sre")


@pytest.mark.parametrize(
    ("selector", "labels", "starts"),
    [
        ({}, None, True),
        ({"matchLabels": {"env": "prod"}}, {"env": "prod"}, True),
        ({"matchLabels": {"env": "prod"}}, {"env": "dev"}, False),
        ({"matchLabels": {"env": "prod"}}, None, False),
        ({"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "x"]}]}, {"env": "x"}, True),
        ({"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod"]}]}, {}, False),
        ({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}, {}, True),
        ({"matchExpressions": [{"key": "env", "operator": "Exists"}]}, {"env": ""}, True),
        ({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}, {"env": ""}, False),
    ],
)
def test_a_cluster_workflow_is_bounded_by_its_namespace_selector(selector: Any, labels: Any, starts: bool) -> None:
    definitions = having(cluster_workflow(selector=selector))
    if labels is not None:
        definitions.put_namespace("shop", labels)
    assert bool(match(A, definitions)) is starts


def test_a_node_alert_reaches_cluster_workflows_that_choose_every_namespace() -> None:
    assert names(
        alert("A", node="n"), having(cluster_workflow(), cluster_workflow("p", {"matchLabels": {"a": "b"}}))
    ) == ["c"]


def test_what_was_removed_or_replaced_matches_no_more() -> None:
    definitions = having(workflow(), workflow("v"))
    definitions.remove("Workflow", "shop", "v")
    definitions.remove("Workflow", "shop", "never")
    definitions.put(workflow(triggers=[trigger("t", {"name": "alertname", "value": "B"})]))
    assert names(A, definitions) == []
    assert names(alert("B", namespace="shop"), definitions) == ["w"]
    assert [r.name for r in definitions.of_kind("Workflow")] == ["w"]


def test_a_miss_is_explained() -> None:
    def why(definitions: Definitions, fired: Alert = A) -> str:
        return " ".join(why_nothing(fired, judge(fired, definitions), definitions))

    assert "no trigger matches A" in why(having())
    assert "none of them for namespace 'shop'" in why(having(workflow("w", "other")))
    assert "suspended" in why(having(workflow(suspend=True)))
    assert "still being read" in why(Definitions())


def test_names_are_indexed_by_equality_and_plain_alternatives() -> None:
    def of(value: str, kind: Any) -> list[str]:
        return list(alertnames([Matcher(name="alertname", value=value, match_type=kind)]))

    assert (of("A", "="), of("A|B|A", "=~"), of("A.*", "=~"), of("A", "!=")) == (["A"], ["A", "B"], [], [])


def test_of_a_thousand_workflows_only_those_that_name_the_alert_are_looked_at() -> None:
    many = [
        workflow(f"w{n}", triggers=[trigger("t", {"name": "alertname", "value": f"Alert{n}"})]) for n in range(1000)
    ]
    definitions = having(*many)
    assert [w.workflow.name for w in definitions.watching("Alert500", "shop")] == ["w500"]
    assert len(match(alert("Alert500", namespace="shop"), definitions)) == 1
