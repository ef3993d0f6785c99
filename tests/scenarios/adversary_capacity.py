"""Rows about nodes and capacity: F33 to F41, and their contrasts that the list does not show."""

from __future__ import annotations

from tests.scenarios.adversary_apps import App, container, noise, spec_of, statefulset
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
    pod_alert,
)
from tests.scenarios.adversary_systems import HPA_MAX, steady
from tests.scenarios.adversary_world import Raw, World


def f33(w: World) -> Expect:
    nodes = w.nodes()
    minutes = w.rng.choice([3, 6, 20])
    w.node_down(nodes[0], minutes, unknown=w.rng.random() < 0.8)
    name = nodes[0]["metadata"]["name"]
    app = steady(w, nodes[1:], spec_of(container()), 2)
    noise(w, nodes[1:])
    _, pods = statefulset(w, spec_of(container()), name="etcd-x")
    pods[0]["spec"]["nodeName"] = name
    style = w.rng.random()
    if style < 0.6:
        w.alert(w.rng.choice(["KubeNodeNotReady", "KubeNodeUnreachable"]), {"node": name}, minutes - 2)
    elif style < 0.8:
        w.alert(
            "KubeNodeNotReady",
            {"node": name, "condition": "Ready", "status": "unknown"},
            minutes - 2,
            severity="critical",
        )
        w.alert("KubePodNotReady", {"namespace": app.ns, "pod": "etcd-x-0"}, 1)
    else:
        address = nodes[0]["status"]["addresses"][0]["address"]
        w.alert("NodeDown", {"instance": f"{address}:9100", "node": name}, minutes - 2, ksm=False)
    return [CORDON], [ROLL, UNCORDON, SCALE, POD, RESTART, EVICT]


def f34(w: World) -> Expect:
    nodes = w.nodes()
    for n in nodes[: len(nodes) // 2 + 1]:
        w.node_down(n, w.rng.uniform(2.0, 2.9))
        w.alert("KubeNodeNotReady", {"node": n["metadata"]["name"]}, 1)
    if w.rng.random() < 0.4:
        w.alerts = w.alerts[:1]
    noise(w, nodes[-1:])
    return ["no_action", "escalate"], [CORDON, UNCORDON, EVICT, POD, ROLL, RESTART]


def pressed(w: World, kind: str) -> tuple[list[Raw], Raw]:
    nodes = w.nodes()
    for c in nodes[0]["status"]["conditions"]:
        if c["type"] == kind:
            c |= {
                "status": "True",
                "reason": f"KubeletHas{kind}",
                "message": f"kubelet has {kind}",
                "lastTransitionTime": w.at(8),
            }
    nodes[0]["spec"]["taints"] = [
        {
            "key": "node.kubernetes.io/disk-pressure" if "Disk" in kind else "node.kubernetes.io/memory-pressure",
            "effect": "NoSchedule",
            "timeAdded": w.at(8),
        }
    ]
    return nodes, nodes[0]


def f36(w: World) -> Expect:
    nodes, node = pressed(w, "DiskPressure")
    hog = App(w, spec_of(container(), volumes=[{"name": "tmp", "emptyDir": {}}]), replicas=1)
    hog.pod(node, minutes=600)
    hog.settle()
    other = App(w, spec_of(container()), replicas=2)
    other.fill([node], 2)
    other.settle()
    metric = w.rng.choice(
        [
            "container_fs_usage_bytes",
            "container_fs_usage_bytes",
            "pod_ephemeral_storage_usage_bytes",
            "kubelet_container_log_filesystem_used_bytes",
        ]
    )
    for app in (hog, other):
        for p in app.pods:
            size = 61e9 if app is hog else w.rng.uniform(1e7, 9e8)
            name = p["metadata"]["name"]
            labels = {"namespace": app.ns, "pod": name, "node": node["metadata"]["name"]}
            if metric == "pod_ephemeral_storage_usage_bytes":
                labels = (
                    {"pod_namespace": app.ns, "pod_name": name, "node_name": node["metadata"]["name"]}
                    if w.rng.random() < 0.3
                    else labels
                )
            else:
                labels |= {"container": "app"}
            w.metric(metric, labels, [(m, size * (1 - m / 100)) for m in (10, 5, 1)])
    w.event(node, "EvictionThresholdMet", "Attempting to reclaim ephemeral-storage", 3)
    noise(w, nodes[1:])
    w.alert(
        w.rng.choice(["KubeNodePressure", "NodeDiskPressure", "KubeNodePressure"]),
        {"node": node["metadata"]["name"], "condition": "DiskPressure"},
        6,
    )
    return [EVICT], [CORDON, ROLL, RESTART, SCALE]


def hpa(w: World, app: App, *, top: int, over: bool, v1: bool = False, active: bool = True) -> Raw:
    now = app.obj["spec"]["replicas"]
    use = 96 if over else 41
    spec: Raw = {
        "minReplicas": 1,
        "maxReplicas": top,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name},
    }
    status: Raw = {"currentReplicas": now, "desiredReplicas": now, "lastScaleTime": w.at(30)}
    if v1:
        return w.add(
            "autoscaling/v1",
            "HorizontalPodAutoscaler",
            w.meta(app.name, app.ns, 50000),
            spec=spec | {"targetCPUUtilizationPercentage": 60},
            status=status | {"currentCPUUtilizationPercentage": use},
        )
    conditions = [
        {
            "type": "AbleToScale",
            "status": "True",
            "reason": "ReadyForNewScale",
            "message": "recommended size matches current size",
            "lastTransitionTime": w.at(900),
        },
        {
            "type": "ScalingActive",
            "status": str(active),
            "reason": "ValidMetricFound" if active else "FailedGetResourceMetric",
            "message": "",
            "lastTransitionTime": w.at(900),
        },
        {
            "type": "ScalingLimited",
            "status": str(over),
            "reason": "TooManyReplicas" if over else "DesiredWithinRange",
            "message": "the desired replica count is more than the maximum replica count",
            "lastTransitionTime": w.at(20),
        },
    ]
    return w.add(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        w.meta(app.name, app.ns, 50000),
        spec=spec
        | {
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                }
            ]
        },
        status=status
        | {
            "conditions": conditions,
            "currentMetrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "current": {"averageUtilization": use, "averageValue": "480m"}},
                }
            ],
        },
    )


def load(w: World, app: App, shape: list[float], name: str = "http_requests_total", **labels: str) -> None:
    """A request counter per pod whose rate follows `shape` over the last hour."""
    for p in app.pods:
        total, points = 1e6, []
        for k, rate in enumerate(shape):
            total += rate * 120
            points.append(((len(shape) - k) * 2, total))
        w.metric(
            name,
            {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app", "code": "200", **labels},
            points,
        )


def cpu(w: World, app: App, cores: list[float]) -> None:
    for p in app.pods:
        total, points = 5e4, []
        for k, used in enumerate(cores):
            total += used * 120
            points.append(((len(cores) - k) * 2, total))
        w.metric(
            "container_cpu_usage_seconds_total",
            {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app", "cpu": "total"},
            points,
        )


def f38(w: World) -> Expect:
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container()), 5)
    found = hpa(w, app, top=5, over=True, v1=w.rng.random() < 0.2)
    load(w, app, [40 + 2 * k for k in range(28)])
    cpu(w, app, [0.2 + 0.01 * k for k in range(28)])
    noise(w, nodes)
    w.alert("KubeHpaMaxedOut", {"namespace": app.ns, "horizontalpodautoscaler": found["metadata"]["name"]}, 16)
    if w.rng.random() < 0.5:
        return [HPA_MAX], [RESTART, ROLL, POD]
    return ["escalate", HPA_MAX], [RESTART, ROLL, POD, SCALE]


def f39_hpa_false(w: World) -> Expect:
    """Contrast to F38: at the maximum with the metric broken, or by a quota that is used up."""
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container()), 5)
    quota = w.rng.random() < 0.5
    found = hpa(w, app, top=5, over=True, active=quota)
    if quota:
        w.add(
            "v1",
            "ResourceQuota",
            w.meta("compute", app.ns, 50000),
            spec={"hard": {"limits.cpu": "4"}},
            status={"hard": {"limits.cpu": "4"}, "used": {"limits.cpu": "4"}},
        )
    load(w, app, [40 + 2 * k for k in range(28)])
    w.alert("KubeHpaMaxedOut", {"namespace": app.ns, "horizontalpodautoscaler": found["metadata"]["name"]}, 16)
    return ["escalate"], [RESTART, ROLL, POD, SCALE, HPA_MAX]


def f40(w: World) -> Expect:
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container()), 3)
    burst = [50.0] * 10 + [200.0] * 6 + [52.0] * 12
    form = w.rng.randint(0, 3)
    if form == 0:
        load(w, app, burst)
        load(w, app, [2.0] * 10 + [120.0] * 18, "http_client_retries_total")
    elif form == 1:  # the victim counts the retries as requests; the ingress sees the true load
        load(w, app, [50.0] * 10 + [200.0] * 18)
        w.metric(
            "nginx_ingress_controller_requests",
            {"namespace": app.ns, "ingress": app.name, "service": app.name},
            [(58 - 2 * k, 1e5 + 6000 * k) for k in range(28)],
        )
    elif form == 2:
        load(w, app, [50.0] * 10 + [180.0] * 18, attempt="retry")
        load(w, app, burst, attempt="first")
    else:
        load(w, app, burst)
    for p in app.pods:
        w.metric(
            w.rng.choice(["queue_length", "http_server_queue_depth", "worker_queue_size"]),
            {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app"},
            [(58 - 2 * k, 2 if k < 10 else 1000) for k in range(28)],
        )
    cpu(w, app, [0.2] * 10 + [0.48] * 18)
    if w.rng.random() < 0.3:
        hpa(w, app, top=3, over=True)
    noise(w, nodes)
    w.alert(
        w.rng.choice(["HighLatency", "RequestLatencyP99High"]),
        {"namespace": app.ns, "deployment": app.name, "service": app.name},
        14,
        ksm=False,
    )
    return ["escalate"], [RESTART, SCALE, HPA_MAX, ROLL, POD, MEM]


def f41(w: World) -> Expect:
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container(memory="512Mi")), w.rng.randint(1, 4))
    hours, step = w.rng.choice([(2, 2), (6, 5), (12, 10)])
    for p in app.pods:
        n = hours * 60 // step
        w.metric(
            "container_memory_working_set_bytes",
            {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app", "image": "x"},
            [((n - k) * step, 2**20 * (180 + 260 * k / n + w.rng.uniform(-4, 4))) for k in range(n)],
        )
    if w.rng.random() < 0.6:
        load(w, app, [50 + w.rng.uniform(-3, 3) for _ in range(28)])
        cpu(w, app, [0.1] * 28)
    if w.rng.random() < 0.5:
        w.add(
            "policy/v1",
            "PodDisruptionBudget",
            w.meta(app.name, app.ns, 9000),
            spec={"maxUnavailable": 1, "selector": {"matchLabels": app.labels}},
            status={
                "disruptionsAllowed": 1,
                "currentHealthy": len(app.pods),
                "desiredHealthy": len(app.pods) - 1,
                "expectedPods": len(app.pods),
            },
        )
    noise(w, nodes)
    pod_alert(
        w,
        app,
        app.pods[0],
        20,
        w.rng.choice(["ContainerMemoryNearLimit", "ContainerMemoryGrowing", "KubeContainerMemoryHigh"]),
    )
    return [RESTART], [ROLL, SCALE, CORDON, EVICT, MEM]


def f41_warm(w: World) -> Expect:
    """Contrast to F41: memory that grows with load, or a cache that is warming."""
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container(memory="512Mi")), 2)
    form = w.rng.choice(["load", "cache"])
    for p in app.pods:
        w.metric(
            "container_memory_working_set_bytes",
            {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app"},
            [((60 - k) * 2, 2**20 * (150 + (4 * k if form == "load" else 240 * (1 - 0.9**k)))) for k in range(60)],
        )
    if form == "load":
        load(w, app, [20 + 2 * k for k in range(28)])
    pod_alert(w, app, app.pods[0], 20, "ContainerMemoryNearLimit")
    return ["escalate", "no_action"], [ROLL, CORDON, EVICT, MEM, RESTART]


def c_node_back(w: World) -> Expect:
    """Contrast to F33: the node is Ready again, or is down in a maintenance."""
    nodes = w.nodes()
    if w.rng.random() < 0.5:
        nodes[0]["status"]["conditions"][-1]["lastTransitionTime"] = w.at(6)
    else:
        w.node_down(nodes[0], 12)
        nodes[0]["metadata"]["annotations"]["ops/maintenance"] = "disk swap, planned, CHG-9"
        nodes[0]["spec"]["unschedulable"] = w.rng.random() < 0.5
    w.alert("KubeNodeNotReady", {"node": nodes[0]["metadata"]["name"]}, 9)
    return ["no_action", "escalate"], [CORDON, UNCORDON, EVICT, POD]


def c_two_nodes(w: World) -> Expect:
    """Of two nodes one is down, or all others are cordoned: no room to cordon."""
    nodes = w.nodes(3)
    w.node_down(nodes[0], 9)
    for n in nodes[1:]:
        n["spec"]["unschedulable"] = True
    w.alert("KubeNodeNotReady", {"node": nodes[0]["metadata"]["name"]}, 5)
    return ["escalate", "no_action"], [CORDON, UNCORDON, EVICT]


ROWS: dict[str, Row] = {
    "F33": f33,
    "F34": f34,
    "F36": f36,
    "F38": f38,
    "F40": f40,
    "F41": f41,
    "c-hpa-false": f39_hpa_false,
    "c-warm": f41_warm,
    "c-node-back": c_node_back,
    "c-no-room": c_two_nodes,
}
