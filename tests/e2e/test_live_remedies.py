"""Every remedy on real nodes: broken for real, decided, written once as the tenant, verified by kubelets' reports.

Alerts come in Alertmanager's wire format; the demo proves the real Alertmanager.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hack.devcluster import cluster as clusters
from hack.rig.install import tenant_rights
from tests.e2e.live import (
    REGISTRY,
    SERVE,
    Live,
    Receiver,
    app,
    everything_kept,
    evictions,
    hang,
    killed,
    ready,
    registry_without_images,
    rolled_back,
    stopped_kubelet,
    unschedulable,
    waiting,
)
from tests.e2e.scene import API, Scene, agent, condition, endpoint, ledger, told, workflow
from tests.e2e.staging import ACCOUNT, Alertmanager, Stage, audited, remove_namespace, staged, until

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="native nodes need root")]

HUNGRY = "head -c 60m /dev/zero | tail > /dev/null || exit 137; " + SERVE
TALKATIVE = "echo 'ledger-db: password=hunter2-in-the-log refused'; exit 3"
HELD = ("hung", "busy", "trio", "pair", "greeter", "typo", "heavy", "probe", "client")  # well, until they are hurt
TOLD = "ledger fails; kept what was seen"
ROLLBACK = {"name": "act", "action": {"name": "rollback_deployment"}}
ASKED = {"ask": {"question": "Should the deployment be rolled back?", "onUncertain": "Escalate"}}


def step(action: str, cel: str = "", **with_: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "act", "action": {"name": action, **({"with": with_} if with_ else {})}}
    return made | ({"condition": {"cel": cel}} if cel else {})


WORKFLOWS = {
    "AppHung": [step("restart_deployment", "facts.ready_replicas == 0 && facts.restarts_max == 0")],
    "QueueBacklog": [step("scale_deployment", "facts.pods_failing == 0 && !facts.hpa_present", replicas=2)],
    "KubePodNotReady": [step("restart_pod", "has(facts.stuck_pod) && facts.current_pods_ready >= 2")],
    "PodOnSlowDisk": [step("evict_pod")],
    "ContainerOOMKilled": [step("set_memory_limit", "facts.oom_kills >= 1", factor="1.5")],
    "KubeDeploymentRolloutStuck": [ROLLBACK | {"condition": ASKED}],
    "KubeDeploymentReplicasMismatch": [
        ROLLBACK | {"condition": {"cel": 'facts.only_new_revision_fails && facts.failure_modes == ["not_ready"]'}}],
    "KubePodCrashLooping": [
        step("collect_diagnostics"),
        step("notify", channel="oncall", message=TOLD) | {"name": "tell", "dependsOn": ["act"]},
        {"name": "also", "notify": {"channel": "oncall", "message": "{{ run.name }}: {{ steps.act.message }}"},
         "dependsOn": ["tell"]}],
}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """AKESO_TEST_CLUSTER where it has two native nodes, else two of its own."""
    with ExitStack() as stack:
        cluster = audited(os.environ.get("AKESO_TEST_CLUSTER", ""))
        if cluster is None or len(cluster.nodes) < 2:
            name = f"e2e-live-{os.getpid()}"
            stack.callback(clusters.down, name)
            cluster = clusters.up(name, 2)
        if cluster.kind != "native":
            pytest.skip(f"kubelets and the audit log must be at hand, which they are not in a {cluster.kind} cluster")
        yield stack.enter_context(staged(cluster, tmp_path_factory.mktemp("live-stage")))


@pytest.fixture(scope="module")
def live(nodes: Stage, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The tenant with its Workflows, its Deployments serving, an operator; one kubelet is stopped before all else."""
    folder = tmp_path_factory.mktemp("live")
    started = datetime.now(UTC).isoformat()
    here, there = (n.name for n in nodes.cluster.nodes[:2])
    with ExitStack() as stack:
        stack.enter_context(stopped_kubelet(nodes.cluster, there))
        url = stack.enter_context(ledger(postgres, f"live-{os.getpid()}"))
        receiver = stack.enter_context(Receiver().listening())
        channels = folder / "channels.json"
        channels.write_text(json.dumps({"oncall": {"url": receiver.url}}))
        operator = nodes.operator(folder / "operator", database_url=url, channels_file=str(channels))
        actions = sorted({s["action"]["name"] for steps in WORKFLOWS.values() for s in steps if "action" in s})
        scene = Scene(nodes, operator, nodes.tenant(*actions))
        stack.callback(remove_namespace, nodes.kubectl, scene.namespace)
        made = Live(scene, url, receiver, here, there, started)
        made.scene.apply(*(app(name, here) for name in HELD), pair_budget(2))
        stack.enter_context(node_workflows(made))
        stack.callback(operator.stop)
        operator.start()
        scene.apply(endpoint(), agent(), *(workflow(n.lower(), alertname=n, steps=s) for n, s in WORKFLOWS.items()))
        scene.ready(*(n.lower() for n in WORKFLOWS))
        for name in HELD:
            scene.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
        yield made


@contextmanager
def node_workflows(live: Live) -> Iterator[None]:
    """The ClusterWorkflows over nodes, and the node's own consent; all of it is taken away again."""
    scene, kubectl = live.scene, live.scene.stage.kubectl
    tenant_rights(kubectl, scene.namespace, ACCOUNT, "cordon_node", "uncordon_node", cluster_wide=True)
    kubectl("annotate", "node", live.there, "akeso.dev/managed=true", "--overwrite")
    cordon = step("cordon_node") | {"condition": {"ask": {"question": "Should the node be cordoned?"}}}
    made = [cluster_workflow(live, "KubeNodeNotReady", cordon),
            cluster_workflow(live, "KubeNodeReadyAgain", step("uncordon_node", readyForSeconds=2))]
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    try:
        yield
    finally:
        for one in made:
            kubectl("delete", "clusterworkflow", one["metadata"]["name"], "--wait=false")
        for kind in ("clusterrolebinding", "clusterrole"):
            kubectl("delete", kind, f"akeso-{scene.namespace}-{ACCOUNT}", "--ignore-not-found")
        kubectl("uncordon", live.there)
        kubectl("annotate", "node", live.there, "akeso.dev/managed-", "akeso.dev/cordoned-by-")


def cluster_workflow(live: Live, alertname: str, made: Mapping[str, Any]) -> dict[str, Any]:
    namespace = live.scene.namespace
    matchers = [{"name": "alertname", "value": alertname}, {"name": "e2e", "value": namespace}]
    spec = {
        "namespaceSelector": {}, "agentRef": {"name": "sre", "namespace": namespace}, "serviceAccountName": ACCOUNT,
        "triggers": [{"name": "alert", "alert": {"matchers": matchers, "cooldownSeconds": 0}}], "steps": [made]}
    name = f"{alertname.lower()}-{namespace}"
    return {"apiVersion": API, "kind": "ClusterWorkflow", "metadata": {"name": name}, "spec": spec}


def waits_for(live: Live, alert: Alertmanager) -> str:
    """What the step of its run says now."""
    steps = (live.scene.run_of(alert) or {}).get("status", {}).get("steps", [])
    return next((str(s.get("message", "")) for s in steps if s["name"] == "act"), "")


def pair_budget(least: int) -> dict[str, Any]:
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "pair"},
            "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": "pair"}}}}


def test_a_hung_deployment_is_restarted(live: Live) -> None:
    (old,) = live.pods("hung")
    hang(live, old)
    run = live.healed(live.fire("AppHung", deployment="hung"), "hung")
    (new,) = live.pods("hung")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert ready(new)
    live.described("deployment", "hung", run, "ActionApplied", "VerifiedHealthy")


def test_a_deployment_with_a_backlog_is_scaled(live: Live) -> None:
    run = live.healed(live.fire("QueueBacklog", deployment="busy"), "busy")
    assert [ready(p) for p in live.pods("busy")] == [True, True]
    live.described("deployment", "busy", run, "ActionApplied", "VerifiedHealthy")


def test_only_the_one_bad_pod_of_several_is_restarted(live: Live) -> None:
    bad, *others = live.pods("trio")
    hang(live, bad)
    name = bad["metadata"]["name"]
    run = live.healed(live.fire("KubePodNotReady", pod=name), name, "pods", "delete")
    now = {p["metadata"]["uid"]: ready(p) for p in live.pods("trio")}
    assert list(now.values()) == [True] * 3
    assert {p["metadata"]["uid"] for p in others} < set(now)
    assert bad["metadata"]["uid"] not in now
    live.described("deployment", "trio", run, "ActionApplied", "VerifiedHealthy")


def test_a_disruption_budget_makes_an_eviction_wait_until_it_allows_it(live: Live) -> None:
    gone, kept = live.pods("pair")
    name = gone["metadata"]["name"]
    alert = live.fire("PodOnSlowDisk", pod=name)
    until("a refusal by the budget", lambda: evictions(live, name), 10, every=0.2)
    assert set(evictions(live, name)) == {429}
    assert live.writes("pods", name) == []
    until("the reason why it waits", lambda: "disruption budget" in waits_for(live, alert), 10)
    live.scene.apply(pair_budget(1))
    run = live.healed(alert, name, "pods", "create")
    assert [w["subresource"] for w in live.writes("pods", name)] == ["eviction"]
    uids = {p["metadata"]["uid"] for p in live.pods("pair")}
    assert len(uids) == 2
    assert kept["metadata"]["uid"] in uids
    assert gone["metadata"]["uid"] not in uids
    live.described("deployment", "pair", run, "ActionApplied", "VerifiedHealthy")


def test_an_image_that_does_not_exist_is_rolled_back(live: Live) -> None:
    with registry_without_images(live):
        before = live.change("greeter", image=f"{REGISTRY}/shop/greeter:1.4.3")
        failing = {"ErrImagePull", "ImagePullBackOff"}
        until("a failing pull", lambda: waiting(live.pods("greeter")) & failing, 30, every=0.2)
        rolled_back(live, "greeter", before, "KubeDeploymentRolloutStuck", because="pull_failure=not_found")


def test_a_mistyped_node_selector_is_rolled_back(live: Live) -> None:
    before = live.change("typo", nodeSelector={"kubernetes.io/hostname": live.here + "x"})
    until("a pod without a node", lambda: unschedulable(live, "typo"), 20)
    rolled_back(live, "typo", before, "KubeDeploymentRolloutStuck", because="selector_matches_no_node=true")


def test_requests_that_no_node_can_hold_are_rolled_back(live: Live) -> None:
    before = live.change("heavy", cpu="500")
    until("a pod without a node", lambda: unschedulable(live, "heavy"), 20)
    rolled_back(live, "heavy", before, "KubeDeploymentRolloutStuck", because="requests_exceed_every_node=true")


def test_a_readiness_probe_on_a_wrong_port_is_rolled_back(live: Live) -> None:
    before = live.change("probe", port=8081)
    until("a running pod that is not ready", lambda: [
        p for p in live.pods("probe") if p["status"]["phase"] == "Running" and not ready(p)], 20)
    rolled_back(live, "probe", before, "KubeDeploymentReplicasMismatch")


def test_a_remedy_that_does_not_help_is_undone_exactly(live: Live) -> None:
    """36Mi is still too little: the kernel kills it again, and the limit goes back to what it was."""
    live.scene.apply(app("leaky", live.here, command=HUNGRY, memory="24Mi"))
    until("an OOM kill", lambda: killed(live, "leaky"), 30, every=0.2)
    before = live.deployment("leaky")
    alert = live.fire("ContainerOOMKilled", pod=live.pods("leaky")[0]["metadata"]["name"], container="app")
    run = live.scene.ended(alert, patience=60)
    assert run["status"]["phase"] == "RolledBack", told(run)
    assert "was OOMKilled with the new limit" in told(run)
    written = live.writes("deployments", "leaky")
    assert [(w["verb"], w["as"]) for w in written] == [("patch", live.account)] * 2  # the remedy and its undo
    after = live.deployment("leaky")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 2
    live.described("deployment", "leaky", run, "ActionApplied", "StillUnhealthy", "RolledBack")


def test_a_limit_that_the_namespace_does_not_allow_is_refused_before_any_write(live: Live) -> None:
    """The API server would take it from us, and then no pod of it."""
    top = {"type": "Container", "max": {"memory": "100Mi"}}
    live.scene.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "top"}, "spec": {"limits": [top]}},
                     app("cramped", live.here, command=HUNGRY.replace("60m", "120m"), memory="80Mi"))
    until("an OOM kill", lambda: killed(live, "cramped"), 30, every=0.2)
    run = live.scene.ended(live.fire("ContainerOOMKilled", pod=live.pods("cramped")[0]["metadata"]["name"]))
    assert run["status"]["phase"] == "Refused", told(run)
    assert condition(run, "Succeeded")["reason"] == "PreconditionFailed"
    assert "LimitRange/top allows 100Mi per Container, not 120Mi" in told(run)
    assert live.writes("deployments", "cramped") == []
    live.described("deployment", "cramped", run, "PreconditionFailed")


def test_a_rollout_that_fails_for_want_of_another_component_is_not_rolled_back(live: Live) -> None:
    """It crashes since its newest template came, as any bad rollout; but the database that it names has no replica."""
    idle = app("db", live.here)
    idle["spec"]["replicas"] = 0
    live.scene.apply(idle, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {
        "selector": {"app": "db"}, "ports": [{"port": 5432}]}})
    live.change("client", command="echo cannot reach db:5432; exit 3")
    until("a crash", lambda: "CrashLoopBackOff" in waiting(live.pods("client")), 30, every=0.2)
    run = live.scene.ended(live.fire("KubeDeploymentRolloutStuck", deployment="client"))
    assert run["status"]["phase"] == "Escalated", told(run)
    assert "NO-DEPENDENCY" in told(run)
    assert live.writes("deployments", "client") == live.writes("deployments", "db") == []
    live.described("deployment", "client", run, "Escalated")


def test_diagnostics_are_kept_without_secrets_and_people_are_told_once_by_key(live: Live) -> None:
    live.scene.apply(app("ledger", live.here, command=TALKATIVE, env="hunter2-in-the-env"))
    until("a crash loop", lambda: "CrashLoopBackOff" in waiting(live.pods("ledger")), 30, every=0.2)
    run = live.scene.ended(live.fire("KubePodCrashLooping", pod=live.pods("ledger")[0]["metadata"]["name"]))
    assert run["status"]["phase"] == "Succeeded", told(run)
    assert live.writes("deployments", "ledger") == []
    kept = everything_kept(live, run["metadata"]["name"])
    assert "password=[redacted] refused" in kept
    assert "DATABASE_PASSWORD" in kept
    assert "hunter2" not in kept
    (first, _), (again, body), (other, text) = live.receiver.heard
    assert first == again != other  # a 503 is tried again under the same key; another step has its own
    assert body == {"text": TOLD, "run": run["metadata"]["name"],
                    "namespace": live.scene.namespace, "target": "Deployment/ledger"}
    assert "kept" in text["text"]
    live.described("deployment", "ledger", run, "ActionApplied")


def test_a_node_that_does_not_answer_is_cordoned_and_let_back_when_it_does(live: Live) -> None:
    """Its kubelet has been stopped since the module began: the rules want it NotReady for a minute."""
    stage = live.scene.stage

    def has_been(status: str, seconds: int) -> bool:
        found = condition(stage.kubectl.get("node", live.there), "Ready")
        since = datetime.fromisoformat(found["lastTransitionTime"].replace("Z", "+00:00"))
        return found["status"] == status and datetime.now(UTC) - since > timedelta(seconds=seconds)

    until(f"a minute of silence of {live.there}", lambda: has_been("Unknown", 61), 100, every=1)
    run = live.healed(alert_on(live, "KubeNodeNotReady"), live.there, "nodes")
    node = stage.kubectl.get("node", live.there)
    assert node["spec"]["unschedulable"] is True
    assert "nodes_not_ready=1" in told(run)
    live.described("node", live.there, run, "ActionApplied", "VerifiedHealthy")
    os.kill(live.cluster.proc(f"kubelet-{live.there}").pid, signal.SIGCONT)
    until(f"{live.there} Ready for a while", lambda: has_been("True", 3), 30, every=0.5)
    back = alert_on(live, "KubeNodeReadyAgain")
    live.written(back, "nodes", live.there, writes=2)
    back.deliver("resolved")
    run = live.scene.ended(back)
    assert run["status"]["phase"] == "Succeeded", told(run)
    after = stage.kubectl.get("node", live.there)
    assert "unschedulable" not in after["spec"]
    assert "akeso.dev/cordoned-by" not in after["metadata"]["annotations"]
    assert [(w["verb"], w["as"]) for w in live.writes("nodes", live.there)] == [("patch", live.account)] * 2


def alert_on(live: Live, alertname: str) -> Alertmanager:
    return live.fire(alertname, node=live.there, condition="Ready", job="kube-state-metrics", e2e=live.scene.namespace)
