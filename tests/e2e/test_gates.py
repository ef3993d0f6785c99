"""Every gate says no on a real run: its reason is on the WorkflowRun, and no write in the API server's audit log."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hack.rig.install import tenant_rights
from tests.e2e.scene import SCALE_DOWN, Scene, agent, condition, deployment, endpoint, ledger, told, workflow
from tests.e2e.staging import ACCOUNT, Alertmanager, Stage, remove_namespace

pytestmark = pytest.mark.e2e
FENCED = "fenced-*"
ELSEWHERE = {**SCALE_DOWN, "target": {"group": "apps", "kind": "Deployment", "name": "theirs", "namespace": "default"}}


@pytest.fixture(scope="module")
def scene(stage: Stage, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One tenant with Workflows for all cases, and an operator that keeps away from namespaces called FENCED."""
    with ledger(postgres, "gates") as url:
        operator = stage.operator(
            tmp_path_factory.mktemp("gates") / "operator",
            database_url=url,
            protected_namespaces=f"kube-system,{FENCED}",
        )
        made = Scene(stage, operator, stage.tenant("scale_deployment"))
        operator.start()
        try:
            made.apply(
                endpoint(),
                agent(),
                agent("timid", actions={"deny": ["scale_*"]}),
                agent("asks", autonomy="Approve"),
                agent("tired"),
                workflow(),
                workflow("tired", agentRef={"name": "tired"}),
                workflow("timid", agentRef={"name": "timid"}),
                workflow("asks", agentRef={"name": "asks"}),
                workflow("abroad", steps=[{"name": "act", "action": ELSEWHERE}]),
            )
            made.ready("scale-down", "tired", "timid", "asks", "abroad")
            yield made
        finally:
            operator.stop()
            remove_namespace(stage.kubectl, made.namespace)


def refused(scene: Scene, alert: Alertmanager, reason: str, writes: int = 0) -> None:
    """Its run ended Refused for that reason, which is wherever a person looks, and nothing was written by it."""
    run = scene.ended(alert)
    assert run["status"]["phase"] == "Refused", told(run)
    for type_, status in (("Succeeded", "False"), ("Stalled", "True"), ("Reconciling", "False")):
        found = condition(run, type_)
        assert (found["status"], found["reason"]) == (status, reason), told(run)
    step = next(s for s in run["status"]["steps"] if s["name"] == "act")
    assert (step["phase"], step["reason"]) == ("Refused", reason)
    assert ("gate", reason) in [(line["kind"], line["reason"]) for line in run["status"]["story"]]
    assert "Next: " in condition(run, "Succeeded")["message"]
    assert len(scene.writes(alert.labels["deployment"])) == writes


def foreign(scene: Scene, name: str, labels: dict[str, str]) -> Scene:
    """The same tenant set-up in another namespace."""
    scene.stage.kubectl.apply(
        json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    )
    tenant_rights(scene.stage.kubectl, name, ACCOUNT, "scale_deployment")
    made = replace(scene, namespace=name)
    made.apply(endpoint(), agent(), workflow(), deployment("web"))
    made.ready("scale-down")
    return made


@pytest.mark.parametrize(
    ("mark", "value", "reason"),
    [
        ("akeso.dev/paused", "true", "Paused"),
        ("akeso.dev/protected", "true", "Protected"),
        ("akeso.dev/managed", "false", "NotManaged"),
    ],
)
def test_a_mark_on_the_object_stops_every_write(scene: Scene, mark: str, value: str, reason: str) -> None:
    name = f"marked-{reason.lower()}"
    scene.apply(deployment(name, {mark: value}))
    refused(scene, scene.fire(name), reason)
    assert scene.replicas(name) == 1


@pytest.mark.parametrize(
    ("prefix", "labels", "reason"),
    [
        ("quiet", {}, "NotManaged"),
        ("quiet", {"akeso.dev/managed": "true", "akeso.dev/paused": "true"}, "Paused"),
        ("quiet", {"akeso.dev/managed": "true", "akeso.dev/protected": "true"}, "Protected"),
        ("fenced", {"akeso.dev/managed": "true"}, "Protected"),
    ],
)
def test_a_namespace_that_did_not_agree_is_left_alone(
    scene: Scene,
    prefix: str,
    labels: dict[str, str],
    reason: str,
) -> None:
    there = foreign(scene, f"{prefix}-{uuid.uuid4().hex[:8]}", labels)
    try:
        refused(there, there.fire("web"), reason)
        assert there.replicas("web") == 1
    finally:
        remove_namespace(scene.stage.kubectl, there.namespace)


def test_a_workflow_never_reaches_into_another_namespace(scene: Scene) -> None:
    """Not even to an object that opted in, and that its own team would let a Workflow of theirs change."""
    foreign_name = replace(scene, namespace="default")
    foreign_name.apply(deployment("theirs", {"akeso.dev/managed": "true"}))
    scene.apply(deployment("abroad"))
    try:
        refused(scene, scene.fire("abroad", "abroad"), "OutOfScope")
        assert foreign_name.writes("theirs") == []
        assert foreign_name.replicas("theirs") == 1
    finally:
        foreign_name.kubectl("delete", "deployment", "theirs", "--wait=false")


def test_an_alert_about_another_namespace_starts_no_workflow_of_this_one(scene: Scene) -> None:
    """Whoever writes alert rules must not be able to aim another team's Workflow."""
    alert = scene.alert("web")
    alert.labels = {**alert.labels, "namespace": "kube-system"}
    status, body = scene.operator.post(alert.payload("firing"))
    assert (status, json.loads(body)["matched"]) == (200, 0)
    assert "none of them for namespace 'kube-system'" in json.loads(body)["why"][0]
    assert scene.run_of(alert) is None


def test_an_action_that_the_agent_denies_is_not_done(scene: Scene) -> None:
    scene.apply(deployment("timid"))
    refused(scene, scene.fire("timid", "timid"), "ActionNotAllowed")


def test_a_suspended_agent_does_nothing_and_goes_on_when_it_is_resumed(scene: Scene) -> None:
    scene.apply(deployment("tired"))
    scene.kubectl("patch", "akagent", "tired", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    refused(scene, scene.fire("tired", "tired"), "Suspended")
    scene.kubectl("patch", "akagent", "tired", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    scene.kubectl("wait", "--for=jsonpath={.status.observedGeneration}=3", "akagent/tired", "--timeout=20s")
    again = scene.fire("tired", "tired", again="yes")
    scene.reached(again, "Verifying")
    assert scene.replicas("tired") == 0
    assert len(scene.writes("tired")) == 1


def test_the_same_object_is_not_acted_on_again_before_it_cooled_down(scene: Scene) -> None:
    scene.apply(deployment("hot"))
    first = scene.fire("hot")
    scene.reached(first, "Verifying")
    first.deliver("resolved")
    assert scene.ended(first)["status"]["phase"] == "Succeeded"
    scene.kubectl("scale", "deployment/hot", "--replicas=1")
    refused(scene, scene.fire("hot", again="yes"), "CoolingDown", writes=1)
    assert scene.replicas("hot") == 1


def test_two_runs_never_work_on_one_object_at_once(scene: Scene) -> None:
    """The first verifies, for its alert still fires; the second finds the object taken."""
    scene.apply(deployment("busy"))
    first = scene.fire("busy")
    scene.reached(first, "Verifying")
    refused(scene, scene.fire("busy", again="yes"), "ConcurrencyForbidden", writes=1)
    first.deliver("resolved")
    assert scene.ended(first)["status"]["phase"] == "Succeeded"


def test_an_alert_that_resolved_before_the_write_needs_no_remedy(scene: Scene) -> None:
    """It resolves while the run waits for a person; the person's yes comes too late."""
    scene.apply(deployment("gone"))
    alert = scene.fire("gone", "asks")
    run = scene.reached(alert, "WaitingForApproval")
    alert.deliver("resolved")
    answer = {"spec": {"decision": "Approved", "decidedBy": "akeso-admin"}}
    name = scene.stage.kubectl.get("akapproval", "-n", scene.namespace)["items"][0]["metadata"]["name"]
    scene.kubectl("patch", "akapproval", name, "--type=merge", "-p", json.dumps(answer))
    refused(scene, alert, "AlertResolved")
    assert scene.replicas("gone") == 1
    assert run["status"]["target"] == "Deployment/gone"
