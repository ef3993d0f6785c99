"""The command line on a real cluster: what happened, why, what would happen, and what is wrong with an installation."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack.rig.install import ROOT, operator_kubeconfig
from hack.rig.kubectl import Kubectl
from hack.rig.operator import Operator
from tests.e2e.scene import Scene, agent, akeso, deployment, endpoint, ledger, workflow
from tests.e2e.staging import Stage, control_plane, remove_namespace, until

pytestmark = pytest.mark.e2e
HEAVY = (
    "kopf",
    "kubernetes",
    "psycopg",
    "aiohttp",
    "httpx",
    "starlette",
    "uvicorn",
    "pydantic",
    "jinja2",
    "prometheus_client",
)


@pytest.fixture(scope="module")
def url(postgres: str) -> Iterator[str]:
    with ledger(postgres, "cli") as made:
        yield made


@pytest.fixture(scope="module")
def scene(stage: Stage, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    operator = stage.operator(tmp_path_factory.mktemp("cli") / "operator", database_url=url)
    made = Scene(stage, operator, stage.tenant("scale_deployment"))
    operator.start()
    try:
        made.apply(
            endpoint(),
            agent(),
            agent("asks", autonomy="Approve"),
            workflow(),
            workflow("asks", agentRef={"name": "asks"}),
            deployment("web"),
            deployment("idle"),
            deployment("slow"),
            deployment("paused", {"akeso.dev/paused": "true"}),
        )
        made.ready("scale-down", "asks")
        yield made
    finally:
        operator.stop()
        remove_namespace(stage.kubectl, made.namespace)


@pytest.fixture(scope="module")
def healed(scene: Scene) -> str:
    """The name of a run that went all the way."""
    alert = scene.fire("web")
    scene.reached(alert, "Verifying")
    alert.deliver("resolved")
    return str(scene.reached(alert, "Succeeded")["metadata"]["name"])


def typed(scene: Scene, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
    """What the command prints to the cluster's admin."""
    said = akeso(*arguments, kubeconfig=scene.stage.kubectl.kubeconfig, stdin=stdin)
    assert said.returncode == code, said.stdout + said.stderr
    return said.stdout if code == 0 else said.stdout + said.stderr


def test_get_lists_runs_as_a_table_as_json_and_by_name(scene: Scene, healed: str) -> None:
    table = typed(scene, "get", "-n", scene.namespace)
    assert table.splitlines()[0].split() == ["NAMESPACE", "NAME", "WORKFLOW", "TARGET", "PHASE", "STEPS", "AGE"]
    assert re.search(rf"{scene.namespace} +{healed} +scale-down +Deployment/web +Succeeded +1/1 +\d+[smh]", table), (
        table
    )
    assert f"workflowrun/{healed}" in typed(scene, "get", "-A", "-o", "name").splitlines()
    (one,) = json.loads(typed(scene, "get", healed, "-A", "-o", "json"))["items"]
    assert one["status"]["phase"] == "Succeeded"
    assert "No WorkflowRun nobody in namespace" in typed(scene, "get", "nobody", "-n", scene.namespace, code=1)


def test_describe_shows_conditions_steps_the_open_question_and_the_story(scene: Scene) -> None:
    run = scene.reached(scene.fire("slow", "asks"), "WaitingForApproval")["metadata"]["name"]
    said = typed(scene, "describe", f"akrun/{run}", "-n", scene.namespace)
    for line in (
        r"Phase: +WaitingForApproval",
        r"Alert: +asks",
        r"Target: +Deployment/slow",
        r"Succeeded +Unknown",
        r"act +WaitingForApproval",
        rf"{run}-act-[0-9a-f]{{8}}: waiting; expires 20",
        r"\+  replicas: 0",
    ):
        assert re.search(line, said), (line, said)


def test_why_tells_the_run_from_alert_to_verification_a_line_each(scene: Scene, healed: str) -> None:
    said = typed(scene, "why", healed, "-n", scene.namespace)
    first, *lines = said.splitlines()
    assert first == f"{scene.namespace}/{healed}: Succeeded"
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  \w+ +\S", line) for line in lines), said
    kinds = [line.split()[1] for line in lines]
    assert kinds == sorted(
        kinds, key=["alert", "target", "evidence", "plan", "gate", "action", "verification", "outcome"].index
    )


def simulated(scene: Scene, about: str, *arguments: str, alertname: str = "scale-down") -> str:
    alert = scene.alert(about, alertname)
    return typed(scene, "simulate", "-", *arguments, stdin=json.dumps(alert.payload("firing")))


def test_simulate_shows_the_diff_and_writes_nothing(scene: Scene, url: str) -> None:
    before = len(scene.stage.runs(scene.namespace))
    said = simulated(scene, "idle", "--database-url", url)
    assert re.search(r"ok +alert +scale-down matches .*scale-down, trigger alert", said), said
    assert "scale Deployment/idle from 1 to 0 replicas" in said
    assert "+  replicas: 0" in said
    assert "NO " not in said
    assert "not checked" not in said
    assert scene.replicas("idle") == 1
    assert scene.stage.kubectl.get("deployment", "idle", "-n", scene.namespace)["metadata"]["generation"] == 1
    assert len(scene.stage.runs(scene.namespace)) == before


def test_simulate_shows_every_gate_that_would_refuse(scene: Scene, healed: str, url: str) -> None:
    paused = simulated(scene, "paused")
    assert re.search(r"NO +gate +not_paused: .*akeso.dev/paused", paused), paused
    assert "not checked without --database-url" in paused
    assert re.search(r"NO +gate +cooled_down: ", simulated(scene, "web", "--database-url", url))
    assert healed


def test_simulate_says_why_an_alert_starts_nothing(scene: Scene, tmp_path: Path) -> None:
    assert "no trigger matches nonsense" in simulated(scene, "web", alertname="nonsense")
    scene.apply(workflow("lame", steps=[{"name": "act", "action": {"name": "no_such"}}]))
    scene.kubectl("wait", "--for=condition=Stalled", "akwf/lame", "--timeout=20s")
    assert "UnknownAction" in simulated(scene, "web", alertname="lame")
    garbage = tmp_path / "alert.json"
    garbage.write_text("{")
    assert "cannot be read" in typed(scene, "simulate", str(garbage), code=1)


def test_actions_and_rbac_need_no_cluster(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    listed = json.loads(akeso("actions", "-o", "json", kubeconfig=nowhere).stdout)
    assert {
        "restart_deployment",
        "rollback_deployment",
        "scale_deployment",
        "set_memory_limit",
        "restart_pod",
        "evict_pod",
        "cordon_node",
        "uncordon_node",
        "collect_diagnostics",
        "notify",
    } <= {a["name"] for a in listed}
    assert "EFFECT" in akeso("actions", kubeconfig=nowhere).stdout
    printed = akeso("rbac", "-n", "shop", "restart_pod", kubeconfig=nowhere)
    documents = list(yaml.safe_load_all(printed.stdout))
    assert [d["kind"] for d in documents] == ["ServiceAccount", "Role", "RoleBinding", "Role", "RoleBinding"]
    unknown = akeso("rbac", "format_disk", kubeconfig=nowhere)
    assert (unknown.returncode, "Next: akeso actions" in unknown.stderr) == (1, True)


def test_help_imports_nothing_heavy() -> None:
    """Its time is measured by hack/bench; that it stays short is a matter of what it imports."""
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom akeso.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()
    assert not set(HEAVY) & set(loaded)


# doctor


def findings(kubectl: Kubectl, *arguments: str) -> dict[str, dict[str, Any]]:
    """By check."""
    said = akeso("doctor", "-o", "json", *arguments, kubeconfig=kubectl.kubeconfig)
    found = {f["check"]: f for f in json.loads(said.stdout)}
    assert said.returncode == (0 if all(f["ok"] for f in found.values()) else 1)
    assert all(f["fix"] for f in found.values() if not f["ok"])
    return found


def follow(kubectl: Kubectl, fix: str) -> None:
    """Run the command that doctor printed, as it printed it."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubectl.kubeconfig),
        "PATH": f"{Path(kubectl.binary).parent}:{ROOT}/.venv/bin:{os.environ['PATH']}",
    }
    subprocess.run(fix, shell=True, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60)


def wrong(found: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, f in found.items() if not f["ok"]}


def test_doctor_leads_from_an_empty_cluster_to_one_that_heals(tmp_path: Path, postgres: str) -> None:
    """Each fix is run as it is printed, and then its check passes."""
    with control_plane(f"doc-{os.getpid()}") as cluster, ledger(postgres, "doctor") as url:
        kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig)
        found = findings(kubectl)
        assert wrong(found) == {"crds", "approval-policy", "operator-rights", "agents", "workflows", "opted-in"}
        for check in ("crds", "approval-policy", "operator-rights"):
            follow(kubectl, found[check]["fix"])
        kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=akeso", "--timeout=30s")
        found = findings(kubectl)
        assert wrong(found) == {"agents", "workflows", "opted-in"}
        follow(kubectl, found["opted-in"]["fix"].replace("NAME", "default"))
        kubectl(
            "create",
            "clusterrolebinding",
            "too-much",
            "--clusterrole=cluster-admin",
            "--serviceaccount=akeso-system:akeso",
        )
        found = findings(kubectl)
        assert wrong(found) == {"agents", "workflows", "least-privilege"}
        assert "patch deployments" in found["least-privilege"]["message"]
        kubectl("delete", "clusterrolebinding", "too-much")
        operator = Operator(
            tmp_path / "operator", operator_kubeconfig(kubectl, tmp_path), settings={"DATABASE_URL": url}
        )
        assert "does not answer" in findings(kubectl, "--server", operator.url)["operator"]["message"]
        manifests = [endpoint(), agent(), workflow(serviceAccountName="newcomer")]
        for made in manifests:
            kubectl.apply(json.dumps(made), "-n", "default")
        assert "is the operator running?" in findings(kubectl)["workflows"]["message"]
        operator.start()
        try:
            until("verdicts", lambda: wrong(findings(kubectl)) == {"workflows"}, 20, every=0.5)
            follow(kubectl, findings(kubectl)["workflows"]["fix"])
            until("a whole installation", lambda: not wrong(findings(kubectl, "--server", operator.url)), 40, every=1)
            said = akeso("doctor", "--server", operator.url, kubeconfig=kubectl.kubeconfig).stdout
            assert len(re.findall(r"^✓ ", said, re.MULTILINE)) == 10
        finally:
            operator.stop()
