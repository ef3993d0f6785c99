"""Rows of the same kinds that the list does not show, and harder forms of those that it does."""

from __future__ import annotations

from tests.scenarios.adversary_apps import App, container, noise, service, set_status, spec_of, statefulset
from tests.scenarios.adversary_capacity import cpu, hpa, load, pressed
from tests.scenarios.adversary_rollouts import (
    CORDON,
    EVICT,
    MEM,
    POD,
    RESTART,
    ROLL,
    SCALE,
    UNCORDON,
    Expect,
    Row,
    broken,
    pod_alert,
    rolled,
    unschedulable,
)
from tests.scenarios.adversary_systems import COMPONENT, HPA_MAX, blocked, steady
from tests.scenarios.adversary_world import World


def init_crash(w: World) -> Expect:
    """F01 where the new template's init container fails."""
    new = spec_of(
        container(image="registry.example/app:1.9.0"),
        initContainers=[container("migrate", "registry.example/app:1.9.0")],
    )
    app, pod, age = rolled(w, new, state="creating")
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "PodInitializing"}}
    ended = {"exitCode": 1, "reason": "Error", "startedAt": w.at(3), "finishedAt": w.at(2.5)}
    pod["status"]["initContainerStatuses"] = [
        {
            "name": "migrate",
            "ready": False,
            "restartCount": 5,
            "image": "i",
            "imageID": "",
            "started": False,
            "lastState": {"terminated": ended},
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s"}},
        }
    ]
    pod_alert(w, app, pod, max(1, age - 5))
    return [ROLL], [MEM, SCALE, EVICT, CORDON, RESTART]


def completed(w: World) -> Expect:
    """F01 where the new command ends at once, and well."""
    app, pod, age = rolled(w, spec_of(container(command=["/bin/true"])), exit_code=0, reason="Completed")
    pod_alert(w, app, pod, max(1, age - 5))
    return [ROLL, "escalate"], [MEM, SCALE, EVICT, CORDON, RESTART]


def flapping(w: World) -> Expect:
    """F01 seen in the seconds in which one of the new pods runs, and has no probe that could deny it."""
    app, pod, _age = rolled(w, spec_of(w.rng.choice(broken())), surge=2, age=22)
    s = pod["status"]["containerStatuses"][0]
    ended = s["lastState"].get("terminated") or s["state"]["terminated"]
    s |= {
        "ready": True,
        "started": True,
        "lastState": {"terminated": ended},
        "state": {"running": {"startedAt": w.at(0.1)}},
    }
    for c in pod["status"]["conditions"]:
        c |= {"status": "True", "lastTransitionTime": w.at(0.1)}
    app.settle(progressing="ProgressDeadlineExceeded", since=12)
    pod_alert(w, app, app.pods[-1], 10)
    return [ROLL], [MEM, SCALE, EVICT, CORDON, RESTART]


def starting(w: World) -> Expect:
    """No fault: the rollout is young, or a startup probe still has its time."""
    slow = w.rng.random() < 0.6
    new = container(
        image="registry.example/app:1.9.0", readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 5}
    )
    if slow:
        new["startupProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 10, "failureThreshold": 90}
    app, pod, age = rolled(w, spec_of(new), state="unready", age=6 if slow else 1.5)
    pod["status"]["containerStatuses"][0]["started"] = not slow
    app.settle(since=age)
    w.event(pod, "Unhealthy", f"{'Startup' if slow else 'Readiness'} probe failed: connection refused", 0.3)
    w.alert("KubeDeploymentReplicasMismatch", {"namespace": app.ns, "deployment": app.name}, 0.5)
    return ["no_action", "escalate"], [ROLL, RESTART, POD, SCALE, MEM]


def bad_node(w: World) -> Expect:
    """After a rollout the new pods fail, but all on one node that is sick itself."""
    app, pod, _age = rolled(w, spec_of(container(image="registry.example/app:1.9.0")), state="unready", age=25)
    name = pod["spec"]["nodeName"]
    node = next(o for o in w.objects if o["kind"] == "Node" and o["metadata"]["name"] == name)
    for p in [p for p in app.pods if p is not pod and p["spec"].get("nodeName") == name]:
        p["spec"]["nodeName"] = "gone-elsewhere"
    w.node_down(node, 20, unknown=w.rng.random() < 0.5)
    pod_alert(w, app, pod, 12, "KubePodNotReady")
    return ["escalate", "no_action", CORDON], [ROLL, RESTART, SCALE, MEM]


def database_at_rollout(w: World) -> Expect:
    """New pods crash, old ones still hold their connections; the database that both name is down."""
    spec = spec_of(container(env=[{"name": "DSN", "value": "postgres://orders-db:5432/x"}]))
    new = spec_of(
        container(image="registry.example/app:1.9.0", env=[{"name": "DSN", "value": "postgres://orders-db:5432/x"}])
    )
    app, pod, age = rolled(w, new, old=spec, bare=True)
    nodes = [o for o in w.objects if o["kind"] == "Node"]
    db = steady(w, nodes, spec_of(container("pg", "postgres:16")), 1, "crash", name="orders-db")
    service(w, "orders-db", db.labels, port=5432, target=8080)
    pod_alert(w, app, pod, max(1, age - 5))
    return ["escalate", COMPONENT, RESTART], [ROLL, MEM, SCALE, EVICT]


def by_configmap(w: World) -> Expect:
    """F05 where the apps take the database's name from a ConfigMap."""
    nodes = w.nodes()
    w.add("v1", "ConfigMap", w.meta("app-env", w.ns, 9000), data={"DB_HOST": "maindb", "LOG": "info"})
    spec = spec_of(container(envFrom=[{"configMapRef": {"name": "app-env"}}]))
    apps = [steady(w, nodes, spec, 2, "crash") for _ in range(2)]
    db = steady(w, nodes, spec_of(container("pg", "postgres:16")), 1, "crash", name="maindb")
    service(w, "maindb", db.labels, port=5432, target=8080)
    for a in apps:
        w.alert(
            "KubePodCrashLooping", {"namespace": a.ns, "pod": a.pods[0]["metadata"]["name"]}, 9, severity="critical"
        )
    noise(w, nodes)
    return [COMPONENT, RESTART], [ROLL, MEM, SCALE, POD]


def dns_alone(w: World) -> Expect:
    """F29 where the alert is CoreDNS' own and nobody else has been seen failing yet."""
    nodes = w.nodes()
    dns = App(
        w,
        spec_of(container("coredns", "coredns:1.12")),
        replicas=0,
        name="coredns",
        ns="kube-system",
        labels={"k8s-app": "kube-dns"},
    )
    dns.settle(progressing="NewReplicaSetAvailable", since=9000)
    noise(w, nodes)
    w.alert(
        "KubeDeploymentReplicasMismatch", {"namespace": "kube-system", "deployment": "coredns"}, 10, severity="critical"
    )
    return [SCALE, "escalate"], [RESTART, ROLL, MEM]


def sts_oom(w: World) -> Expect:
    """F02 on a StatefulSet."""
    nodes = w.nodes()
    _, pods = statefulset(w, spec_of(container(memory="512Mi")), name="es", replicas=3)
    for p in pods:
        p["spec"]["nodeName"] = nodes[0]["metadata"]["name"]
    set_status(w, pods[0], "crash", 900, exit_code=137, reason="OOMKilled", restarts=5)
    w.alert("KubePodCrashLooping", {"namespace": w.ns, "pod": "es-0", "container": "app"}, 9)
    return [MEM, "escalate"], [ROLL, RESTART, SCALE, EVICT]


def evicted(w: World) -> Expect:
    """Pods that the kubelet evicted for the node's memory: no limit is too low."""
    nodes, node = pressed(w, "MemoryPressure")
    app = steady(w, nodes[1:], spec_of(container()), 2)
    for _ in range(3):
        pod = app.pod(node, minutes=15)
        pod["status"] = {
            "phase": "Failed",
            "reason": "Evicted",
            "startTime": w.at(15),
            "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 61Mi. "
            "Container app was using "
            "210Mi, request is 64Mi, has larger consumption of memory. ",
        }
    w.alert("KubePodNotReady", {"namespace": app.ns, "pod": pod["metadata"]["name"]}, 9)
    return ["escalate", "no_action"], [MEM, ROLL, RESTART, SCALE, CORDON]


def rolled_back_already(w: World) -> Expect:
    """F01 again within the hour after a rollback."""
    app, pod, _age = rolled(w, spec_of(w.rng.choice(broken())), age=14)
    w.history = [
        {
            "at": w.at(35),
            "workflow": "w",
            "action": ROLL,
            "outcome": w.rng.choice(["Verified", "Failed"]),
            "target": {"kind": "Deployment", "namespace": app.ns, "name": app.name},
        }
    ]
    pod_alert(w, app, pod, 8)
    return ["escalate"], [ROLL, MEM, SCALE, RESTART]


def scaling_up(w: World) -> Expect:
    """F13's symptom, but the cluster autoscaler is bringing a node that the pod fits."""
    big = container()
    big["resources"] = {"requests": {"cpu": "3", "memory": "1Gi"}, "limits": {"cpu": "3", "memory": "1Gi"}}
    _app, pod = unschedulable(w, spec_of(big), "0/{n} nodes are available: {n} Insufficient cpu.")
    w.event(pod, "TriggeredScaleUp", "pod triggered scale-up: [{eks-main 3->4 (max: 9)}]", 1, "Normal", 1)
    return ["no_action", "escalate"], [ROLL, SCALE, POD, EVICT, CORDON, RESTART]


def one_series(w: World) -> Expect:
    """F36 where only the pod that fills the disk has a series: it holds most of the node's disk."""
    _, node = pressed(w, "DiskPressure")
    hog = App(w, spec_of(container()), replicas=1)
    p = hog.pod(node, minutes=600)
    hog.settle()
    w.metric(
        "container_fs_usage_bytes",
        {"namespace": hog.ns, "pod": p["metadata"]["name"], "container": "app", "device": "/dev/nvme0n1p1"},
        [(5, 70e9), (1, 81e9)],
    )
    w.alert("KubeNodePressure", {"node": node["metadata"]["name"], "condition": "DiskPressure"}, 6)
    return [EVICT], [CORDON, ROLL, RESTART, SCALE]


def daemon_hog(w: World) -> Expect:
    """F36 where a DaemonSet's pod fills the disk: it would come back to the same node."""
    _nodes, node = pressed(w, "DiskPressure")
    ds = w.add(
        "apps/v1",
        "DaemonSet",
        w.meta("log-agent", w.ns, 9000),
        spec={"selector": {"matchLabels": {"app": "log-agent"}}},
        status={},
    )
    pod = w.add(
        "v1",
        "Pod",
        w.meta("log-agent-x2x8z", w.ns, 900, ownerReferences=w.owner(ds), labels={"app": "log-agent"}),
        spec=spec_of(container()) | {"nodeName": node["metadata"]["name"]},
    )
    set_status(w, pod, "ready", 900)
    other = App(w, spec_of(container()), replicas=1)
    other.fill([node], 1)
    other.settle()
    for p, size in ((pod, 70e9), (other.pods[0], 5e8)):
        w.metric(
            "container_fs_usage_bytes",
            {"namespace": w.ns, "pod": p["metadata"]["name"], "container": "app"},
            [(1, size)],
        )
    w.alert("KubeNodePressure", {"node": node["metadata"]["name"], "condition": "DiskPressure"}, 6)
    return ["escalate"], [CORDON, ROLL, RESTART, SCALE, EVICT]


def hour_of_leak(w: World) -> Expect:
    """F41 over one hour of minutes, only resident memory, one pod of three, or the pod's own cgroup."""
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container(memory="1Gi")), 3)
    form = w.rng.choice(["rss", "one", "cgroup"])
    for k, p in enumerate(app.pods):
        labels = {"namespace": app.ns, "pod": p["metadata"]["name"]} | (
            {} if form == "cgroup" else {"container": "app"}
        )
        slope = 0 if form == "one" and k else 6
        w.metric(
            "container_memory_rss" if form == "rss" else "container_memory_working_set_bytes",
            labels,
            [(60 - m, 2**20 * (400 + slope * m + w.rng.uniform(-3, 3))) for m in range(60)],
        )
    noise(w, nodes)
    pod_alert(w, app, app.pods[0], 20, w.rng.choice(["ContainerMemoryNearLimit", "MemoryLeakSuspected"]))
    return [RESTART], [ROLL, SCALE, CORDON, EVICT, MEM]


def hpa_pods_metric(w: World) -> Expect:
    """F38 on a Pods metric, without the condition ScalingActive."""
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container()), 4)
    found = hpa(w, app, top=4, over=True)
    found["spec"]["metrics"] = [
        {
            "type": "Pods",
            "pods": {"metric": {"name": "http_rps"}, "target": {"type": "AverageValue", "averageValue": "100"}},
        }
    ]
    found["status"]["currentMetrics"] = [
        {"type": "Pods", "pods": {"metric": {"name": "http_rps"}, "current": {"averageValue": "187500m"}}}
    ]
    found["status"]["conditions"] = [c for c in found["status"]["conditions"] if c["type"] != "ScalingActive"]
    load(w, app, [40 + 2 * k for k in range(28)])
    w.alert("KubeHpaMaxedOut", {"namespace": app.ns, "horizontalpodautoscaler": app.name}, 16)
    return [HPA_MAX], [RESTART, ROLL, POD]


def real_load(w: World) -> Expect:
    """Contrast to F40: demand itself grew, nothing queues, cpu is at its limit and nothing scales the app."""
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container()), 3)
    load(w, app, [30 + 3 * k for k in range(28)])
    cpu(w, app, [0.2 + 0.01 * k for k in range(24)] + [0.47] * 4)
    w.alert("HighLatency", {"namespace": app.ns, "deployment": app.name}, 14, ksm=False)
    return [SCALE, "escalate"], [RESTART, ROLL, POD, MEM, CORDON]


def webhook_first(w: World) -> Expect:
    """F48 where the alert about the webhook's own pod comes first."""
    nodes = w.nodes(3)
    hook = steady(
        w, nodes, spec_of(container("hook", "gatekeeper:3")), 1, "crash", name="gatekeeper", ns="gatekeeper-system"
    )
    service(w, "gatekeeper-svc", hook.labels, ns="gatekeeper-system", port=443, target=8443)
    w.add(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        w.meta("gk", None, 9000),
        webhooks=[
            {
                "name": "validation.gatekeeper.sh",
                "failurePolicy": "Fail",
                "clientConfig": {"service": {"name": "gatekeeper-svc", "namespace": "gatekeeper-system"}},
            }
        ],
    )
    w.alert(
        "KubePodCrashLooping", {"namespace": hook.ns, "pod": hook.pods[0]["metadata"]["name"], "container": "hook"}, 12
    )
    blocked(
        w,
        'Internal error occurred: failed calling webhook "validation.gatekeeper.sh": failed to call webhook: Post '
        '"https://gatekeeper-svc.gatekeeper-system.svc:443/v1/admit?timeout=3s": context deadline exceeded',
    )
    return [COMPONENT, RESTART], [ROLL, MEM, POD, SCALE]


def pods_of_dead_node(w: World) -> Expect:
    """F33 where the pods of the node speak up before the node does."""
    nodes = w.nodes(4)
    app = steady(w, nodes, spec_of(container()), 4)
    w.node_down(nodes[0], 8)
    pod = app.pods[0]
    for c in pod["status"]["conditions"]:
        if c["type"] == "Ready":
            c |= {"status": "False", "reason": "NodeNotReady", "lastTransitionTime": w.at(8)}
    app.settle(progressing="NewReplicaSetAvailable", since=3800)
    w.alert("KubePodNotReady", {"namespace": app.ns, "pod": pod["metadata"]["name"]}, 3)
    w.alert("KubeNodeNotReady", {"node": nodes[0]["metadata"]["name"]}, 5)
    return [CORDON], [ROLL, UNCORDON, SCALE, POD, RESTART, EVICT]


def c_quota(w: World) -> Expect:
    blocked(
        w,
        'pods "app-7d4b9-x2x8z" is forbidden: exceeded quota: compute, requested: requests.cpu=500m, '
        "used: requests.cpu=4, limited: requests.cpu=4",
    )
    return ["escalate"], [ROLL, RESTART, SCALE, POD]


ROWS: dict[str, Row] = {
    "c-quota": c_quota,
    "m-init": init_crash,
    "m-completed": completed,
    "m-flapping": flapping,
    "m-starting": starting,
    "m-bad-node": bad_node,
    "m-db-at-rollout": database_at_rollout,
    "m-configmap": by_configmap,
    "m-dns-alone": dns_alone,
    "m-sts-oom": sts_oom,
    "m-evicted": evicted,
    "m-again": rolled_back_already,
    "m-scale-up": scaling_up,
    "m-one-series": one_series,
    "m-daemon-hog": daemon_hog,
    "m-leak-hour": hour_of_leak,
    "m-hpa-pods": hpa_pods_metric,
    "m-real-load": real_load,
    "m-webhook-first": webhook_first,
    "m-dead-node-pods": pods_of_dead_node,
}
