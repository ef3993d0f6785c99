"""Malformed, huge and hostile input, and Workflows that cannot work: each is told why, and stops nobody else."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hack.rig.install import tenant_rights
from hack.rig.kubectl import KubectlError
from tests.e2e.scene import SCALE_DOWN, Scene, agent, condition, deployment, endpoint, ledger, told, workflow
from tests.e2e.staging import ACCOUNT, Stage, remove_namespace, until

pytestmark = pytest.mark.e2e
Answer = tuple[int, dict[str, Any], Mapping[str, str]]


@pytest.fixture(scope="module")
def scene(stage: Stage, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ledger(postgres, "bad_input") as url:
        operator = stage.operator(
            tmp_path_factory.mktemp("bad") / "operator", database_url=url, webhook_max_bytes="100000"
        )
        made = Scene(stage, operator, stage.tenant("scale_deployment"))
        operator.start()
        try:
            made.apply(endpoint(), agent(), workflow())
            made.ready("scale-down")
            yield made
        finally:
            operator.stop()
            remove_namespace(stage.kubectl, made.namespace)


# the webhook


def post(scene: Scene, body: bytes, **headers: str) -> Answer:
    """Posts bytes as they are, with our token unless headers say otherwise: status, body and headers of the answer."""
    token = scene.operator.token_file.read_text().strip()
    sent = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token}",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    connection = http.client.HTTPConnection(scene.operator.host, scene.operator.port, timeout=10)
    try:
        connection.request("POST", "/v1/alerts", body, {k: v for k, v in sent.items() if v})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


def still_works(scene: Scene, name: str) -> None:
    """The next good alert is taken and carried out by the same process."""
    assert scene.operator.alive()
    assert scene.operator.get("/healthz")[0] == 200
    scene.apply(deployment(name))
    alert = scene.fire(name)
    scene.reached(alert, "Verifying")
    alert.deliver("resolved")
    assert scene.ended(alert)["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, b"", {}),
        (400, b"not json", {}),
        (400, b'{"version": "4"', {}),
        (400, b"[]", {}),
        (400, b"null", {}),
        (400, b'{"version": "4", "alerts": "all of them"}', {}),
        (400, b'{"version": "4", "alerts": [{"status": "burning"}]}', {}),
        (
            400,
            b'{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": 7}, "startsAt": "yesterday"}]}',
            {},
        ),
        (400, b'\xff\xfe{"version": "4"}', {}),
        (400, b"[" * 50_000, {}),
        (413, b'{"version": "4", "alerts": [' + b" " * 200_000 + b"]}", {}),
        (415, b"<alerts/>", {"Content_Type": "application/xml"}),
        (415, b"\x1f\x8b", {"Content_Encoding": "gzip"}),
        (401, b"{}", {"Authorization": ""}),
        (401, b"{}", {"Authorization": "Bearer a-token-that-nobody-issued"}),
        (401, b"{}", {"Authorization": "Basic YWtlc286YWtlc28="}),
        (401, b"x" * 200_000, {"Authorization": ""}),
    ],
)
def test_a_bad_notification_is_answered_with_what_is_wrong_and_what_to_do(
    scene: Scene,
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> None:
    try:
        code, said, answered = post(scene, body, **headers)
    except (BrokenPipeError, ConnectionResetError):
        assert len(body) > 65_536  # it hung up on a body that it will not read
        return
    assert code == status, said
    assert said["code"].startswith("AK-")
    assert said["what"]
    assert said["next"] or said["why"], said
    assert "Traceback" not in json.dumps(said)
    if status == 401:
        assert answered["WWW-Authenticate"].startswith("Bearer")
        assert "a-token-that-nobody-issued" not in json.dumps(said)
    assert scene.operator.alive()


def test_after_all_of_this_the_next_good_alert_is_carried_out(scene: Scene) -> None:
    still_works(scene, "unharmed")


def test_a_hostile_alert_harms_neither_its_neighbours_nor_the_terminal(scene: Scene) -> None:
    """Control characters, bidirectional marks, NUL, huge labels, templates and SQL, in one POST with a good alert."""
    scene.apply(deployment("beside"))
    good = scene.alert("beside")
    payload = good.payload("firing")
    evil = "'; drop table run; -- {{ 7*7 }} ${jndi:ldap://x} \x1b[2J \u202e\u0000 <script>"
    for n, labels in enumerate(
        [
            {"alertname": evil, "namespace": scene.namespace, "deployment": evil},
            {"alertname": "scale-down", "namespace": scene.namespace, "deployment": "../../../api/v1/secrets"},
            {"alertname": "scale-down", "namespace": scene.namespace, "deployment": "beside\u0000"},
            {"alertname": "scale-down", "namespace": scene.namespace, "deployment": "x" * 20_000},
            {"alertname": "scale-down", "namespace": scene.namespace, "pod": evil, evil: evil},
        ]
    ):
        payload["alerts"].append(
            {
                **payload["alerts"][0],
                "labels": labels,
                "fingerprint": f"e{n}" + "\x1b" * (n == 0),
                "annotations": {"summary": evil * 100},
                "generatorURL": "javascript:alert(1)",
            }
        )
    code, said, _ = post(scene, json.dumps(payload).encode())
    assert code == 202, said
    assert len(said["rejected"]) >= 2, said  # what no ledger and no label of Kubernetes can hold
    scene.reached(good, "Verifying")
    good.deliver("resolved")
    assert scene.ended(good)["status"]["phase"] == "Succeeded"
    runs = until("the ends of the others", lambda: settled(scene), 30)
    assert len(runs) >= 3  # the path of another object was taken for what it is: a name that no Deployment has
    for run in runs:
        if run["spec"]["trigger"]["alert"]["labels"].get("deployment") not in ("beside", "unharmed"):
            assert run["status"]["phase"] in ("Escalated", "Refused", "Failed"), told(run)
    assert {w["name"] for w in scene.stage.audit.writes(scene.namespace, "deployments")} <= {"beside", "unharmed"}
    assert "\x1b" not in scene.operator.log.read_text()


def settled(scene: Scene) -> list[dict[str, Any]]:
    runs = scene.stage.runs(scene.namespace)
    return runs if all(condition(r, "Succeeded").get("status", "Unknown") != "Unknown" for r in runs) else []


# definitions


STEP = {"name": "act", "action": SCALE_DOWN}
CIRCLE = [{**STEP, "name": a, "dependsOn": [b]} for a, b in (("one", "three"), ("two", "one"), ("three", "two"))]


def status_of(scene: Scene, name: str) -> dict[str, Any]:
    return dict(scene.stage.kubectl.get("akwf", name, "-n", scene.namespace))


def stalled(scene: Scene, name: str, reason: str) -> str:
    """Its message, once it is Ready=False, Stalled=True for that reason."""

    def look() -> dict[str, Any] | None:
        found = status_of(scene, name)
        return found if condition(found, "Ready").get("status") == "False" else None

    found = until(f"a verdict on {name}", look, 20)
    assert (condition(found, "Ready")["reason"], condition(found, "Stalled")["status"]) == (reason, "True"), found[
        "status"
    ]
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    message = str(condition(found, "Ready")["message"])
    assert re.search(r"[Nn]ext: \S+", message), message
    return message


@pytest.mark.parametrize(
    ("name", "steps", "reason", "says"),
    [
        (
            "unknown",
            [{"name": "act", "action": {"name": "scale_deploymnet"}}],
            "UnknownAction",
            "did you mean scale_deployment",
        ),
        ("circle", CIRCLE, "CycleInSteps", "remove one `dependsOn`"),
        ("pausing", [{"name": "rest", "wait": {"seconds": 5}}, STEP], "Unsupported", "`wait` is not supported"),
        ("badcel", [{**STEP, "condition": {"cel": "facts.ready_replicas >"}}], "ConditionInvalid", "`condition.cel`"),
        (
            "badargs",
            [{"name": "act", "action": {"name": "scale_deployment", "with": {"replicas": "many"}}}],
            "InvalidSpec",
            "with.replicas",
        ),
    ],
)
def test_a_workflow_that_cannot_work_says_what_to_do_next(
    scene: Scene,
    name: str,
    steps: list[dict[str, Any]],
    reason: str,
    says: str,
) -> None:
    scene.apply(workflow(name, steps=steps))
    assert says in stalled(scene, name, reason)
    code, said = scene.operator.post(scene.alert("web", name).payload("firing"))
    assert (code, json.loads(said)["matched"]) == (200, 0)
    assert reason in json.loads(said)["why"][0]
    scene.apply(workflow(name))
    scene.ready(name)  # corrected, it works by itself


def test_a_workflow_without_an_account_to_act_as_is_not_ready(scene: Scene) -> None:
    made = workflow("nobody")
    del made["spec"]["serviceAccountName"]
    scene.apply(made)
    assert "`serviceAccountName` must be set" in stalled(scene, "nobody", "NoServiceAccount")


def test_a_missing_agent_and_its_endpoint_make_it_ready_by_being_applied(scene: Scene) -> None:
    scene.apply(workflow("early", agentRef={"name": "later"}))
    assert "kubectl apply an Agent named later" in stalled(scene, "early", "AgentNotFound")
    scene.apply(agent("later", modelEndpointRefs=[{"name": "much-later"}]))
    until(
        "the next complaint",
        lambda: condition(status_of(scene, "early"), "Ready")["reason"] == "ModelEndpointNotFound",
        20,
    )
    assert "much-later" in stalled(scene, "early", "ModelEndpointNotFound")
    scene.apply(endpoint("much-later"))
    scene.ready("early")
    scene.kubectl("delete", "akagent", "later")
    stalled(scene, "early", "AgentNotFound")


def test_missing_rights_are_named_and_the_printed_command_grants_them(scene: Scene) -> None:
    """The remedy that it prints is run as it is printed."""
    scene.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "newcomer"}},
        workflow("unprivileged", serviceAccountName="newcomer"),
    )
    said = stalled(scene, "unprivileged", "PermissionMissing")
    assert f"system:serviceaccount:{scene.namespace}:newcomer may not patch deployments" in said
    assert f"the operator may not impersonate ServiceAccount {scene.namespace}/newcomer" in said
    assert f"akeso rbac --service-account newcomer -n {scene.namespace} scale_deployment | kubectl apply -f -" in said
    tenant_rights(scene.stage.kubectl, scene.namespace, "newcomer", "scale_deployment")
    scene.kubectl("wait", "--for=condition=Ready", "akwf/unprivileged", "--timeout=40s")


def test_what_the_schema_forbids_is_refused_by_the_api_server_with_our_words(scene: Scene) -> None:
    for steps, says in (
        ([{**STEP, "dependsOn": ["nobody"]}], "every name in `dependsOn` must be a step of this Workflow"),
        ([{"name": "act"}], "must set exactly one of"),
        ([{**STEP, "notify": {"channel": "x"}}], "must set exactly one of"),
    ):
        with pytest.raises(KubectlError, match=says):
            scene.apply(workflow("refused", steps=steps))


def test_a_hostile_object_does_not_stop_the_others(scene: Scene) -> None:
    """Annotations of 10,000 characters each, labels at the limits, and a status that somebody wrote nonsense into."""
    soup = {f"evil.example/{n}": "{{ \u202e\x07'\"<script>" + "x" * 10_000 for n in range(10)}
    hostile = workflow("hostile", description="{{ 7*7 }} \u202e" + "y" * 4_000)
    hostile["metadata"].update(annotations=soup, labels={"app.kubernetes.io/instance": "argo", "a" * 63: "b" * 63})
    broken = workflow("broken", steps=[{"name": "act", "action": {"name": "no_such"}}])
    scene.apply(hostile, broken)
    nonsense = {
        "status": {
            "observedGeneration": 99,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Hacked",
                    "message": "trust me",
                    "observedGeneration": 99,
                    "lastTransitionTime": "1970-01-01T00:00:00Z",
                }
            ],
            "stepCount": 7,
        }
    }
    for name in ("hostile", "broken"):
        scene.kubectl("patch", "akwf", name, "--subresource=status", "--type=merge", "-p", json.dumps(nonsense))
    scene.apply(workflow("innocent"))
    scene.ready("innocent", "hostile")
    stalled(scene, "broken", "UnknownAction")
    alert = scene.fire("beside", "hostile")
    run = scene.ended(alert)
    assert "app.kubernetes.io/instance" not in run["metadata"]["labels"]
    assert "annotations" not in run["metadata"]
    still_works(scene, "after-hostile")


# as kubectl shows it


def test_kubectl_get_akeso_shows_everything_of_ours(scene: Scene) -> None:
    shown = scene.kubectl("get", "akeso")
    for kind in (
        "workflow.akeso.dev/scale-down",
        "agent.akeso.dev/sre",
        "modelendpoint.akeso.dev/rules",
        "workflowrun.akeso.dev/scale-down-",
    ):
        assert kind in shown, shown
    assert re.search(r"NAME\s+READY\s+MODE\s+AGENT\s+ACTIVE\s+OK%\s+LAST-RUN\s+AGE", shown), shown
    assert re.search(r"NAME\s+WORKFLOW\s+TARGET\s+PHASE\s+STEPS\s+DURATION\s+AGE", shown), shown
    for word in ("workflows", "akwf", "workflow.akeso.dev", "akrun", "akagent", "akmodel"):
        assert scene.kubectl("get", word)


def test_a_run_can_be_waited_for_and_the_healed_object_tells_who_healed_it(scene: Scene) -> None:
    scene.apply(deployment("told"))
    alert = scene.fire("told")
    name = scene.reached(alert, "Verifying")["metadata"]["name"]
    with pytest.raises(KubectlError, match="timed out"):
        scene.kubectl("wait", "--for=condition=Succeeded", f"akrun/{name}", "--timeout=1s")
    alert.deliver("resolved")
    scene.kubectl("wait", "--for=condition=Succeeded", f"akrun/{name}", "--timeout=20s")
    described = until(
        "the Events on the Deployment",
        lambda: d if "VerifiedHealthy" in (d := scene.kubectl("describe", "deployment", "told")) else "",
        10,
    )
    assert re.search(
        rf"Normal\s+ActionApplied\s+\S+\s+\S+\s+{name}: act: scale Deployment/told from 1 to 0", described
    ), described
    assert re.search(r"\sakeso\.dev/operator\s", described), described
    run = scene.kubectl("describe", "akrun", name)
    assert "AlertMatched" in run
    assert "Phase:" in run
    by_phase = scene.kubectl("get", "akrun", "--field-selector", "status.phase=Succeeded", "-o", "name")
    assert f"workflowrun.akeso.dev/{name}" in by_phase
    assert ACCOUNT in told(scene.ended(alert))
