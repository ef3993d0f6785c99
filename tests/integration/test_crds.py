"""The CRDs on a real API server: accepted, quiet when applied twice, and refusing what they promise to refuse."""
from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.kubectl import Cluster, Kubectl, merge

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
CRDS = sorted((ROOT / "crds").glob("*.yaml"))
DEMO = {o["kind"]: o for o in yaml.safe_load_all((ROOT / "tests/unit/model/demo.yaml").read_text())}


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    namespace = f"crds-{uuid.uuid4().hex[:8]}"
    kubectl = Kubectl(cluster.kubeconfig, namespace)
    kubectl.ok("create", "namespace", namespace)
    kubectl.ok("apply", *(f"--filename={f}" for f in CRDS))
    kubectl.ok("wait", "--for=condition=Established", "--timeout=30s", *(f"--filename={f}" for f in CRDS))
    yield kubectl
    kubectl.run("delete", "clusterworkflow.akeso.dev", namespace, "--ignore-not-found")
    kubectl.run("delete", "namespace", namespace, "--wait=false")


def demo(kind: str, kubectl: Kubectl, name: str = "", **spec: Any) -> dict[str, Any]:
    obj: dict[str, Any] = copy.deepcopy(DEMO[kind])
    obj["metadata"] = {"name": name or f"{kind.lower()}-{uuid.uuid4().hex[:8]}"}
    if kind != "ClusterWorkflow":
        obj["metadata"]["namespace"] = kubectl.namespace
    obj["spec"] |= spec
    return obj


def test_all_definitions_are_accepted_and_established(kubectl: Kubectl) -> None:
    crds = json.loads(kubectl.ok("get", "-o", "json", *(f"--filename={f}" for f in CRDS)))["items"]
    assert len(crds) == 6
    for crd in crds:
        conditions = {c["type"]: (c["status"], c["message"]) for c in crd["status"]["conditions"]}
        assert conditions["Established"][0] == "True", crd["metadata"]["name"]
        assert conditions["NamesAccepted"][0] == "True", conditions
        assert "NonStructuralSchema" not in conditions, conditions


def test_applying_the_definitions_twice_changes_nothing(kubectl: Kubectl) -> None:
    lines = kubectl.ok("apply", *(f"--filename={f}" for f in CRDS)).splitlines()
    assert [line for line in lines if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize("kind", sorted(DEMO))
def test_applying_an_object_twice_changes_nothing(kubectl: Kubectl, kind: str) -> None:
    obj = demo(kind, kubectl, kubectl.namespace if kind == "ClusterWorkflow" else f"twice-{kind.lower()}")
    assert kubectl.ok("apply", "-f", "-", body=obj).endswith(" created")
    assert kubectl.ok("apply", "-f", "-", body=obj).endswith(" unchanged")


@pytest.mark.parametrize("kind", sorted(DEMO))
def test_nobody_has_seen_a_new_object(kubectl: Kubectl, kind: str) -> None:
    name = kubectl.create(demo(kind, kubectl))
    assert kubectl.ok("get", name, "-o", "jsonpath={.status.observedGeneration}") == "-1"
    if kind == "ClusterWorkflow":
        kubectl.ok("delete", name)


def test_the_plain_words_and_the_category_work(kubectl: Kubectl) -> None:
    kubectl.create(demo("Workflow", kubectl, "plain"))
    kubectl.create(demo("Agent", kubectl, "sre"))
    for word in ("workflow", "workflows", "akwf", "akesoworkflows", "workflows.akeso.dev", "workflow.akeso.dev"):
        listed = kubectl.ok("get", word)
        assert listed.split("\n")[0].split() == ["NAME", "READY", "MODE", "AGENT", "ACTIVE", "OK%", "LAST-RUN", "AGE"]
        assert "plain" in listed
    everything = kubectl.ok("get", "akeso")
    assert "workflow.akeso.dev/plain" in everything
    assert "agent.akeso.dev/sre" in everything


def test_runs_can_be_selected_by_phase_and_fingerprint(kubectl: Kubectl) -> None:
    name = kubectl.create(demo("WorkflowRun", kubectl))
    kubectl.ok("patch", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": {
        "phase": "WaitingForApproval", "progress": "1/3", "target": "Deployment/checkout",
        "story": [{"at": "2026-11-20T12:00:00Z", "kind": "alert", "reason": "AlertMatched", "message": "fired"}]}}))
    waiting = kubectl.ok("get", "akrun", "--field-selector", "status.phase=WaitingForApproval", "-o", "name")
    assert waiting.split() == [name]
    assert kubectl.ok("get", "akrun", "--field-selector", "spec.trigger.alert.fingerprint=nope", "-o", "name") == ""
    assert kubectl.ok("get", name, "-o", "jsonpath={.status.story[0].kind}") == "alert"


@pytest.mark.parametrize(("path", "text"), [
    ("akesoworkflow.spec.triggers", "What starts runs"),
    ("akesoworkflow.spec.steps.action.with", "their schema comes from the action"),
    ("workflowrun.status.story", "a line each"),
    ("approval.spec.planHash", "SHA-256 of the plan"),
    ("akesoagent.spec.autonomy", "Approve acts after a person agrees"),
    ("modelendpoint.spec.temperature", "Decimal between 0 and 2"),
    ("clusterworkflow.spec.namespaceSelector", "an empty selector matches"),
])
def test_kubectl_explains_the_fields(kubectl: Kubectl, path: str, text: str) -> None:
    assert text in " ".join(kubectl.ok("explain", path).split())


WAIT = {"wait": {"seconds": 1}}


@pytest.mark.parametrize(("spec", "message"), [
    ({"steps": [{"name": "a"}]},
     "spec.steps[0]: Invalid value: must set exactly one of `action`, `approval`, `wait`, `verify`, `notify`, "
     "`workflowRef`"),
    ({"steps": [{"name": "a", **WAIT, "notify": {"channel": "c"}}]},
     "spec.steps[0]: Invalid value: must set exactly one of `action`"),
    ({"steps": [{"name": "a", **WAIT, "dependsOn": ["ghost"]}]},
     "spec.steps: Invalid value: every name in `dependsOn` must be a step of this Workflow"),
    ({"steps": [{"name": "a", **WAIT, "dependsOn": ["a"]}]},
     "spec.steps: Invalid value: a step may not depend on itself"),
    ({"steps": [{"name": "a", **WAIT}], "finally": [{"name": "a", **WAIT}]},
     "spec.finally: Invalid value: a name in `finally` may not repeat a name in `steps`"),
    ({"steps": [{"name": "a", **WAIT}], "finally": [{"name": "b", **WAIT, "dependsOn": ["a"]}]},
     "spec.finally: Invalid value: every name in `dependsOn` of a step in `finally` must be another step in `finally`"),
    ({"steps": [{"name": "a", **WAIT, "condition": {"cel": "true", "ask": {"question": "really?"}}}]},
     "spec.steps[0].condition: Invalid value: must set exactly one of `cel` and `ask`"),
    ({"steps": [{"name": "a", "verify": {"withinSeconds": 5}}]},
     "spec.steps[0].verify: Invalid value: must set at least one of `cel`, `promql` and `alertResolved`"),
    ({"triggers": [{"name": "t", "schedule": {"cron": "0 3 * * *"}, "event": {"reason": "BackOff"}}]},
     "spec.triggers[0]: Invalid value: must set exactly one of `alert`, `schedule`, `event`, `resource`"),
    ({"steps": [{"name": "a", **WAIT}] * 2}, "spec.steps[1]: Duplicate value"),
    ({"steps": [{"name": "a", "action": {"name": "deployment.restart"}}]}, "spec.steps[0].action.name"),
    ({"steps": []}, "spec.steps in body should have at least 1 items"),
    ({"mode": "Yolo"}, 'supported values: "Apply", "DryRun", "Suggest"'),
])
def test_a_workflow_that_makes_no_sense_is_refused(kubectl: Kubectl, spec: dict[str, Any], message: str) -> None:
    assert message in kubectl.refused("create", "-f", "-", body=demo("Workflow", kubectl, **spec))


def test_a_misspelt_field_is_refused_by_name(kubectl: Kubectl) -> None:
    assert 'unknown field "spec.tirggers"' in kubectl.refused(
        "create", "-f", "-", body=demo("Workflow", kubectl, tirggers=[]))


def test_a_cluster_workflow_must_say_where_it_acts(kubectl: Kubectl) -> None:
    obj = demo("ClusterWorkflow", kubectl)
    del obj["spec"]["namespaceSelector"]
    assert "spec.namespaceSelector: Required value" in kubectl.refused("create", "-f", "-", body=obj)


@pytest.mark.parametrize("provider", ["OpenAICompatible", "Ollama", "AnthropicCompatible"])
def test_a_remote_model_needs_a_url(kubectl: Kubectl, provider: str) -> None:
    refused = kubectl.refused("create", "-f", "-", body=demo("ModelEndpoint", kubectl, provider=provider))
    assert "spec.url: Invalid value: `url` must be set for this provider" in refused
    kubectl.create(demo("ModelEndpoint", kubectl, provider=provider, url="http://model:8080/v1"))


@pytest.mark.parametrize(("change", "message"), [
    ({"workflowRef": {"name": "other"}}, "spec.workflowRef: Invalid value: `workflowRef` may not be changed"),
    ({"parameters": [{"name": "a", "value": "2"}]}, "spec.parameters: Invalid value: `parameters` may not be changed"),
    ({"parameters": None}, "`parameters` may not be added or removed"),
    ({"mode": "Apply"}, "`mode` may not be changed"),
    ({"mode": None}, "`mode` may not be changed"),
    ({"trigger": {"alert": {"labels": {"alertname": "Other"}}}}, "`trigger` may not be changed"),
])
def test_a_run_stays_what_it_was_created_for(kubectl: Kubectl, change: dict[str, Any], message: str) -> None:
    run = kubectl.create(demo("WorkflowRun", kubectl, mode="DryRun", parameters=[{"name": "a", "value": "1"}]))
    refused = kubectl.refused(*merge(run, change))
    assert f"{message}; create a new WorkflowRun" in refused


def test_the_desired_state_of_a_run_may_change(kubectl: Kubectl) -> None:
    run = kubectl.create(demo("WorkflowRun", kubectl))
    for state in ("Suspended", "Running", "Cancelled"):
        assert "patched" in kubectl.ok(*merge(run, {"desiredState": state}))


@pytest.mark.parametrize(("change", "message"), [
    ({"runRef": {"name": "other"}}, "`runRef` may not be changed"),
    ({"step": "other"}, "`step` may not be changed"),
    ({"planHash": "0" * 64}, "`planHash` may not be changed once set"),
    ({"planHash": None}, "`planHash` may not be changed once set"),
    ({"target": {"uid": "other"}}, "`target` may not be changed once set"),
    ({"target": None}, "`target` may not be changed once set"),
    ({"diff": "-nothing\n"}, "`diff` may not be changed once set"),
    ({"summary": "harmless"}, "`summary` may not be changed once set"),
    ({"expirationTime": "2036-11-20T13:00:00Z"}, "`expirationTime` may not be changed once set"),
    ({"decision": "Approved"}, "`decision` and `decidedBy` must be set together"),
])
def test_what_was_asked_cannot_be_changed(kubectl: Kubectl, change: dict[str, Any], message: str) -> None:
    approval = kubectl.create(demo("Approval", kubectl))
    assert message in kubectl.refused(*merge(approval, change))
