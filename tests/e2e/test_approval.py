"""A person between plan and write: asked with the exact change, answered by RBAC, bound to what was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hack.rig.kubectl import Kubectl, KubectlError
from tests.e2e.scene import Scene, agent, akeso, condition, deployment, endpoint, ledger, told, workflow
from tests.e2e.staging import Stage, remove_namespace, until

pytestmark = pytest.mark.e2e
PATIENCE = "15"  # seconds that an Approval stays open: only the test of its expiry waits for that


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[str]:
    with ledger(postgres, "approval") as url:
        yield url


@pytest.fixture(scope="module")
def scene(stage: Stage, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    operator = stage.operator(
        tmp_path_factory.mktemp("approval") / "operator",
        database_url=database,
        approval_timeout_seconds=PATIENCE,
        workers="1",
    )
    made = Scene(stage, operator, stage.tenant("scale_deployment"))
    operator.start()
    try:
        made.apply(
            endpoint(),
            agent(autonomy="Approve"),
            agent("hints", autonomy="Suggest"),
            agent("free"),
            workflow(),
            workflow("hints", agentRef={"name": "hints"}),
            workflow("free", agentRef={"name": "free"}),
            workflow("careful", agentRef={"name": "free"}, mode="Suggest"),
        )
        made.ready("scale-down", "hints", "free", "careful")
        yield made
    finally:
        operator.stop()
        remove_namespace(stage.kubectl, made.namespace)


@pytest.fixture(scope="module")
def people(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kubeconfigs of two accounts that may read and edit all of ours; only alice has the verb approve."""
    rules: list[dict[str, Any]] = [
        {"apiGroups": ["akeso.dev"], "resources": ["*"], "verbs": ["get", "list", "watch", "patch"]}
    ]
    may = {
        "alice": [*rules, {"apiGroups": ["akeso.dev"], "resources": ["approvals"], "verbs": ["approve"]}],
        "bob": rules,
    }
    folder = tmp_path_factory.mktemp("people")
    group = "rbac.authorization.k8s.io"
    for name, granted in may.items():
        subject = [{"kind": "ServiceAccount", "name": name, "namespace": scene.namespace}]
        scene.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": name}, "rules": granted},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name},
                "subjects": subject,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            },
        )
    return {name: kubeconfig(scene, name, folder) for name in may}


def kubeconfig(scene: Scene, account: str, folder: Path) -> Path:
    token = scene.kubectl("create", "token", account, "--duration=1h").strip()
    config = json.loads(scene.stage.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    config["users"] = [{"name": account, "user": {"token": token}}]
    config["contexts"][0]["context"].update(user=account, namespace=scene.namespace)
    path = folder / account
    path.write_text(json.dumps(config))
    return path


def approval(scene: Scene, run: dict[str, Any]) -> dict[str, Any]:
    """The Approval of that run; there is exactly one."""
    found = [
        a
        for a in scene.stage.kubectl.get("akapproval", "-n", scene.namespace)["items"]
        if a["spec"]["runRef"]["name"] == run["metadata"]["name"]
    ]
    assert len(found) == 1
    return dict(found[0])


def waiting(scene: Scene, name: str) -> tuple[Any, dict[str, Any]]:
    """A Deployment, an alert about it, and the run that waits for a person."""
    scene.apply(deployment(name))
    alert = scene.fire(name)
    return alert, scene.reached(alert, "WaitingForApproval")


def test_the_question_says_exactly_what_would_be_done_and_the_run_holds_nothing(scene: Scene, database: str) -> None:
    _, run = waiting(scene, "asked")
    spec = approval(scene, run)["spec"]
    there = scene.stage.kubectl.get("deployment", "asked", "-n", scene.namespace)["metadata"]
    assert spec["target"] == {
        "group": "apps",
        "kind": "Deployment",
        "namespace": scene.namespace,
        "name": "asked",
        "uid": there["uid"],
        "generation": there["generation"],
    }
    assert len(spec["planHash"]) == 64
    assert "-  replicas: 1" in spec["diff"]
    assert "+  replicas: 0" in spec["diff"]
    assert "scale Deployment/asked from 1 to 0 replicas" in spec["summary"]
    assert f"akeso approve {run['metadata']['name']} -n {scene.namespace}" in condition(run, "Succeeded")["message"]
    assert condition(run, "Succeeded")["status"] == "Unknown"
    assert condition(run, "Reconciling")["status"] == "True"
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select id, holder, wake_at is not null from run where name = %s", [run["metadata"]["name"]]
        ).fetchone()
        assert row is not None
        assert row[1:] == (None, True)
        assert connection.execute("select 1 from target_lock where run_id = %s", [row[0]]).fetchone() is None
    assert scene.writes("asked") == []


def test_who_has_the_verb_approves_and_the_write_happens(scene: Scene, people: dict[str, Path]) -> None:
    alert, run = waiting(scene, "agreed")
    said = akeso("approve", run["metadata"]["name"], "--comment", "go ahead", kubeconfig=people["alice"])
    assert said.returncode == 0, said.stderr
    assert "+  replicas: 0" in said.stdout
    scene.reached(alert, "Verifying")
    alert.deliver("resolved")
    run = scene.ended(alert)
    assert run["status"]["phase"] == "Succeeded", told(run)
    who = f"system:serviceaccount:{scene.namespace}:alice"
    assert f"approved by {who}: go ahead" in told(run)
    assert [w["as"] for w in scene.writes("agreed")] == [f"system:serviceaccount:{scene.namespace}:akeso-remediator"]
    assert scene.replicas("agreed") == 0


def test_who_lacks_the_verb_is_refused_and_nothing_goes_on(scene: Scene, people: dict[str, Path]) -> None:
    alert, run = waiting(scene, "refused")
    said = akeso("approve", run["metadata"]["name"], kubeconfig=people["bob"])
    assert said.returncode == 1
    assert "may not approve here: grant the verb approve on approvals.akeso.dev" in said.stderr
    name = approval(scene, run)["metadata"]["name"]
    in_her_name = {"spec": {"decision": "Approved", "decidedBy": f"system:serviceaccount:{scene.namespace}:alice"}}
    bob = Kubectl(scene.stage.kubectl.binary, people["bob"])
    with pytest.raises(KubectlError, match=r"`spec\.decidedBy` must be .*:bob"):
        bob("patch", "akapproval", name, "--type=merge", "-p", json.dumps(in_her_name))
    assert scene.run_of(alert)["status"]["phase"] == "WaitingForApproval"  # type: ignore[index]
    assert scene.writes("refused") == []


def test_a_denial_ends_the_run_without_a_write(scene: Scene, people: dict[str, Path]) -> None:
    alert, run = waiting(scene, "denied")
    said = akeso("deny", run["metadata"]["name"], "--comment", "sale today", kubeconfig=people["alice"])
    assert said.returncode == 0, said.stderr
    run = scene.ended(alert)
    assert (run["status"]["phase"], condition(run, "Succeeded")["reason"]) == ("Refused", "DeniedByUser"), told(run)
    assert "sale today" in told(run)
    assert scene.writes("denied") == []
    again = akeso("approve", run["metadata"]["name"], kubeconfig=people["alice"])
    assert again.returncode == 1
    assert "waits for nobody" in again.stderr


def test_an_approval_does_not_hold_for_an_object_that_changed_meanwhile(scene: Scene, people: dict[str, Path]) -> None:
    alert, run = waiting(scene, "moved")
    scene.kubectl("scale", "deployment/moved", "--replicas=2")
    assert akeso("approve", run["metadata"]["name"], kubeconfig=people["alice"]).returncode == 0
    run = scene.ended(alert)
    assert (run["status"]["phase"], condition(run, "Succeeded")["reason"]) == ("Refused", "TargetChanged"), told(run)
    assert scene.writes("moved") == []
    assert scene.replicas("moved") == 2


def test_nobody_answers_and_a_person_is_told(scene: Scene) -> None:
    alert, _ = waiting(scene, "lapsed")
    run = scene.ended(alert, patience=float(PATIENCE) + 15)
    assert (run["status"]["phase"], condition(run, "Succeeded")["reason"]) == ("Escalated", "ApprovalExpired"), told(
        run
    )
    assert scene.writes("lapsed") == []


def test_the_question_outlives_the_operator(scene: Scene, people: dict[str, Path]) -> None:
    """Killed while it waits, answered while it is away: the next one finds the answer, and asks no second time."""
    alert, run = waiting(scene, "patient")
    scene.operator.kill()
    assert akeso("approve", run["metadata"]["name"], kubeconfig=people["alice"]).returncode == 0
    scene.operator.start()
    scene.reached(alert, "Verifying")
    alert.deliver("resolved")
    assert scene.ended(alert)["status"]["phase"] == "Succeeded"
    assert len(scene.writes("patient")) == 1
    approval(scene, run)


@pytest.mark.parametrize("name", ["hints", "careful"])
def test_who_may_only_suggest_stops_at_the_plan_with_its_diff(scene: Scene, name: str) -> None:
    """By the Agent's autonomy, and by the Workflow's mode although its Agent is Autonomous."""
    scene.apply(deployment(name))
    run = scene.ended(scene.fire(name, name))
    assert run["status"]["phase"] == "Suggested", told(run)
    assert "+  replicas: 0" in told(run)
    assert condition(run, "Ready")["status"] == "True"
    assert scene.writes(name) == []


def test_an_autonomous_agent_goes_on_by_itself(scene: Scene) -> None:
    scene.apply(deployment("free"))
    alert = scene.fire("free", "free")
    run = scene.reached(alert, "Verifying")
    assert len(scene.writes("free")) == 1
    assert not [
        a
        for a in scene.stage.kubectl.get("akapproval", "-n", scene.namespace)["items"]
        if a["spec"]["runRef"]["name"] == run["metadata"]["name"]
    ]
    alert.deliver("resolved")
    until("its end", lambda: scene.ended(alert)["status"]["phase"] == "Succeeded")
