"""Raw objects become typed ones, or an error that a person can act on."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from akeso.errors import InvalidInput
from akeso.model.api.common import ApiModel
from akeso.model.api.kinds import (
    AGENT,
    APPROVAL,
    CLUSTER_WORKFLOW,
    MODEL_ENDPOINT,
    WORKFLOW,
    WORKFLOW_RUN,
    InvalidObject,
    custom_kind,
    parse,
)

DEMO: dict[str, dict[str, Any]] = {
    o["kind"]: o for o in yaml.safe_load_all((Path(__file__).parent / "demo.yaml").read_text())}


def demo(kind: str) -> dict[str, Any]:
    return copy.deepcopy(DEMO[kind])


@pytest.mark.parametrize("kind", sorted(DEMO))
def test_every_demo_object_survives_a_round_trip(kind: str) -> None:
    spec = parse(custom_kind(kind), demo(kind)).spec
    assert spec.as_object() == DEMO[kind]["spec"]


def test_the_workflow_reads_as_people_wrote_it() -> None:
    workflow = parse(WORKFLOW, demo("Workflow"))
    assert workflow.key == "Workflow/default/crashloop-rollback"
    assert workflow.spec.service_account_name == "akeso-default"
    trigger = workflow.spec.triggers[0].alert
    assert trigger is not None
    assert [(m.name, m.match_type, m.value) for m in trigger.matchers] == [
        ("alertname", "=", "KubePodCrashLooping"), ("namespace", "=", "default")]
    step = workflow.spec.steps[1]
    assert step.action is not None
    assert (step.action.name, step.action.with_) == ("rollback_deployment", {"toRevision": 0})
    assert step.condition is not None
    assert step.condition.ask is not None
    assert step.condition.ask.min_confidence_percent == 80


def test_what_is_left_out_has_the_documented_meaning() -> None:
    spec = parse(CLUSTER_WORKFLOW, demo("ClusterWorkflow")).spec
    assert (spec.mode, spec.concurrency_policy, spec.priority, spec.suspend) == ("Apply", "Forbid", 0, False)
    assert spec.steps[0].on_error == "Stop"
    assert spec.steps[0].action is not None
    assert spec.steps[0].action.target is None
    assert spec.finally_[0].name == "tell"
    assert spec.agent_ref is not None
    assert spec.agent_ref.namespace == "default"
    run = parse(WORKFLOW_RUN, demo("WorkflowRun")).spec
    assert (run.workflow_ref.kind, run.desired_state, run.mode) == ("Workflow", "Running", None)
    agent = parse(AGENT, {"spec": {"modelEndpointRefs": [{"name": "m"}]}}).spec
    assert (agent.autonomy, agent.actions.allow, agent.limits.max_actions_per_hour) == ("Approve", (), None)


def test_metadata_and_status_come_along() -> None:
    obj = demo("Approval") | {"status": {"observedGeneration": 3}}
    obj["metadata"] |= {"uid": "u", "generation": 4, "labels": {"a": "b"}, "annotations": {"c": "d"}}
    got = parse(APPROVAL, obj)
    assert (got.uid, got.generation, got.labels, got.annotations) == ("u", 4, {"a": "b"}, {"c": "d"})
    assert got.status == {"observedGeneration": 3}
    assert got.spec.target is not None
    assert (got.spec.target.uid, got.spec.target.generation) == ("6d1c", 7)


def test_fields_of_a_newer_version_are_ignored() -> None:
    obj = demo("Agent")
    obj["spec"]["fromTheFuture"] = {"x": 1}
    assert "fromTheFuture" not in parse(AGENT, obj).spec.as_object()


def test_specs_are_frozen() -> None:
    spec = parse(AGENT, demo("Agent")).spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.suspend = True  # type: ignore[misc]


def test_all_problems_are_told_at_once_with_their_paths() -> None:
    obj = demo("Workflow")
    obj["spec"]["mode"] = "Yolo"
    obj["spec"]["steps"][1]["action"]["name"] = "Deployment.Restart; rm -rf /"
    obj["spec"]["steps"][2]["verify"]["withinSeconds"] = "300"
    with pytest.raises(InvalidObject) as caught:
        parse(WORKFLOW, obj)
    assert isinstance(caught.value, InvalidInput)
    assert [p.partition(":")[0] for p in caught.value.problems] == [
        "spec.mode", "spec.steps[1].action.name", "spec.steps[2].verify.withinSeconds"]
    assert str(caught.value).startswith("AK-1201 Workflow 'crashloop-rollback' is not valid: spec.mode: ")
    assert "Next: correct these fields" in str(caught.value)
    assert "rm -rf" not in str(caught.value)


def refuse(steps: list[dict[str, Any]], **more: Any) -> str:
    with pytest.raises(InvalidObject) as caught:
        parse(WORKFLOW, {"metadata": {"name": "w"}, "spec": {"steps": steps, **more}})
    return "\n".join(caught.value.problems)


WAIT = {"wait": {"seconds": 1}}


def test_the_rules_of_the_api_server_hold_for_files_too() -> None:
    assert "must set exactly one of `action`, `approval`" in refuse([{"name": "a"}])
    assert "must set exactly one of `action`, `approval`" in refuse([{"name": "a", **WAIT, "notify": {"channel": "c"}}])
    assert "must set exactly one of `cel` and `ask`" in refuse([{"name": "a", **WAIT, "condition": {}}])
    assert "must be a step of this Workflow" in refuse([{"name": "a", **WAIT, "dependsOn": ["b"]}])
    assert "a step may not depend on itself" in refuse([{"name": "a", **WAIT, "dependsOn": ["a"]}])
    assert "may not repeat a name in `steps`" in refuse([{"name": "a", **WAIT}], **{
        "finally": [{"name": "a", **WAIT}]})
    assert "must be another step in `finally`" in refuse([{"name": "a", **WAIT}], **{
        "finally": [{"name": "b", **WAIT, "dependsOn": ["a"]}]})
    assert "`steps` must not hold two items with the same `name`" in refuse([{"name": "a", **WAIT}] * 2)
    assert "must set exactly one of `alert`, `schedule`" in refuse([{"name": "a", **WAIT}], triggers=[{"name": "t"}])
    assert "must set at least one of `cel`, `promql`" in refuse([{"name": "a", "verify": {}}])


def test_a_remote_model_needs_a_url() -> None:
    spec = {"provider": "OpenAICompatible", "model": "m"}
    with pytest.raises(InvalidObject, match="`url` must be set for this provider"):
        parse(MODEL_ENDPOINT, {"spec": spec})
    assert parse(MODEL_ENDPOINT, {"spec": spec | {"url": "http://m:8080"}}).spec.url == "http://m:8080"
    assert parse(MODEL_ENDPOINT, {"spec": spec | {"provider": "Rules"}}).spec.url is None


@pytest.mark.parametrize("obj", [
    {}, {"spec": None}, {"spec": []}, {"spec": "x"}, {"metadata": [], "spec": {}}, {"metadata": {"name": 7}, "spec": 7},
    {"spec": {"steps": [None]}}, {"spec": {"steps": {"name": "a"}}}, {"spec": {"steps": [{"name": "A" * 5000}]}},
    {"spec": {"steps": [{"name": "a", "action": {"name": "a_b", "with": {"x": {1, 2}}}}]}},
    {"spec": {"steps": [{"name": "a", "action": {"name": "a_b", "with": {"\ud800": 1}}}]}},
    {"spec": {"steps": [{"name": "a", "action": {"name": "a_b", "with": {"n": 10**40}}}]}},
    {"metadata": {"name": "evil\n\x1b[31mAK-0000 all fine"}, "spec": {"steps": [{"name": str(i)} for i in range(60)]}},
])
def test_hostile_objects_give_one_bounded_readable_line(obj: dict[str, Any]) -> None:
    with pytest.raises(InvalidObject) as caught:
        parse(WORKFLOW, obj)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 8000
    assert "spec" in text


def test_a_hostile_key_cannot_forge_a_line() -> None:
    obj = demo("ClusterWorkflow")
    obj["spec"]["namespaceSelector"] = {"matchLabels": {"a\nAK-0000 fine": 5}}
    with pytest.raises(InvalidObject) as caught:
        parse(CLUSTER_WORKFLOW, obj)
    assert str(caught.value).isprintable()


def test_an_unknown_kind_lists_ours() -> None:
    with pytest.raises(InvalidObject, match="must be one of Workflow, ClusterWorkflow, WorkflowRun, Agent"):
        custom_kind("CronWorkflow")


def test_every_rule_that_needs_no_old_object_is_checked_in_python_too() -> None:
    def models(model: type[ApiModel]) -> set[type[ApiModel]]:
        return {model}.union(*(models(sub) for sub in model.__subclasses__()))

    rules = [rule for model in models(ApiModel) for rule in model.RULES]
    assert len(rules) > 15
    assert [r.rule for r in rules if (r.holds is None) != ("oldSelf" in r.rule)] == []
