"""F25, and contrasts to the rollout rows that the list does not show: the same alert, another truth."""

from __future__ import annotations

from tests.scenarios.adversary_apps import App, container, noise, service, set_status, spec_of, statefulset
from tests.scenarios.adversary_rollouts import (
    CORDON,
    EVICT,
    MEM,
    POD,
    RESTART,
    ROLL,
    SCALE,
    Expect,
    Row,
    pod_alert,
    probe,
    rolled,
)
from tests.scenarios.adversary_world import World


def f03_new_oom(w: World) -> Expect:
    """Contrast to F02: the same OOM, but only since the rollout (a lower limit, or a hungrier image)."""
    new = container(memory="64Mi") if w.rng.random() < 0.5 else container(image="registry.example/app:2.0.0")
    app, pod, age = rolled(w, spec_of(new), exit_code=137, reason="OOMKilled", restarts=4)
    pod_alert(w, app, pod, max(1, age - 5))
    return [ROLL, "escalate"], [MEM, SCALE, RESTART, CORDON]


def f09_old_crash(w: World) -> Expect:
    """Contrast to F01: the crash without any rollout lately; nothing here says what to do."""
    nodes = w.nodes()
    app = App(w, spec_of(container()), replicas=3)
    if w.rng.random() < 0.5:
        app.roll(spec_of(container(image="registry.example/app:1.8.1")), 8000, surge=3, keep=0)
    app.fill(nodes, 3, state="crash", exit_code=1, minutes=7000)
    app.settle(progressing="NewReplicaSetAvailable", since=7000, available_since=20)
    noise(w, nodes)
    pod_alert(w, app, app.pods[0], 12)
    return ["escalate"], [ROLL, MEM, SCALE, CORDON, EVICT]


def f12_registry(w: World) -> Expect:
    """Contrast to F11: the registry does not answer, or refuses everybody; the tag is not the fault."""
    text = w.rng.choice(
        [
            'Back-off pulling image "r.example/a:2": ErrImagePull: failed to pull and unpack image '
            '"r.example/a:2": failed to resolve '
            'reference "r.example/a:2": failed to do request: Head "https://r.example/v2/a/manifests/2": '
            "dial tcp 10.3.2.1:443: i/o timeout",
            'ErrImagePull: failed to pull and unpack image "r.example/a:2": failed to authorize: failed to '
            "fetch anonymous token: "
            "unexpected status from GET request: 401 Unauthorized",
            "ErrImagePull: unexpected status from HEAD request: 429 Too Many Requests toomanyrequests: You "
            "have reached your pull rate limit",
        ]
    )
    app, pod, age = rolled(
        w, spec_of(container(image="r.example/a:2")), state="waiting", waiting="ImagePullBackOff", text=text
    )
    if w.rng.random() < 0.5:
        other = App(w, spec_of(container(image="r.example/b:7")), replicas=1)
        other.pod(None, "waiting", waiting="ImagePullBackOff", text=text, minutes=20)
        other.settle()
    pod_alert(w, app, pod, max(1, age - 5), "KubeContainerWaiting")
    return ["escalate", "no_action"], [RESTART, POD, SCALE, MEM, ROLL]


def f14_full(w: World) -> Expect:
    """Contrast to F13: the cluster is full and nothing was rolled out."""
    nodes = w.nodes(3)
    app = App(w, spec_of(container()), replicas=4)
    app.fill(nodes, 3)
    pod = app.pod(
        None,
        "pending",
        minutes=30,
        text="0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: "
        "3 No preemption victims found for incoming pod.",
    )
    app.settle(progressing="NewReplicaSetAvailable", since=30000)
    noise(w, nodes)
    pod_alert(w, app, pod, 14, "KubePodNotReady")
    return ["escalate"], [ROLL, SCALE, EVICT, POD, RESTART, MEM]


def f24_dependency(w: World) -> Expect:
    """Contrast to F23: both revisions lost their readiness at once, long after the rollout."""
    nodes = w.nodes()
    app = App(w, spec_of(container(readinessProbe=probe())), replicas=3)
    app.roll(spec_of(container(image="registry.example/app:1.8.1", readinessProbe=probe())), 2000, surge=3, keep=0)
    app.fill(nodes, 3, state="unready", minutes=1900, since=15)
    app.settle(progressing="NewReplicaSetAvailable", since=1900, available_since=15)
    w.event(app.pods[0], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    noise(w, nodes)
    pod_alert(w, app, app.pods[0], 10, "KubePodNotReady")
    return ["escalate"], [ROLL, MEM, SCALE, CORDON, EVICT]


def f20_volume_zone(w: World) -> Expect:
    """Contrast to F15: the volume binds the pod to a zone; a StatefulSet."""
    nodes = w.nodes(3)
    spec = spec_of(container(), volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "d-0"}}])
    sts, pods = statefulset(w, spec, name="kafka", replicas=1)
    set_status(
        w,
        pods[0],
        "pending",
        20,
        text="0/3 nodes are available: 3 node(s) had volume node affinity conflict. preemption: "
        "0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    )
    sts["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    noise(w, nodes)
    w.alert("KubePodNotReady", {"namespace": w.ns, "pod": "kafka-0"}, 10)
    return ["escalate"], [ROLL, SCALE, EVICT, POD, RESTART, MEM]


def f24_liveness(w: World) -> Expect:
    """Contrast: a liveness probe that the new template got wrong; the kubelet kills with 137 or 143, not the kernel."""
    app, pod, age = rolled(
        w, spec_of(container(livenessProbe=probe(9999))), exit_code=w.rng.choice([137, 143]), reason="Error"
    )
    w.event(pod, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
    w.event(pod, "Killing", "Container app failed liveness probe, will be restarted", 1, "Normal")
    pod_alert(w, app, pod, max(1, age - 5))
    return [ROLL], [MEM, SCALE, CORDON, EVICT]


def f25(w: World) -> Expect:
    nodes = w.nodes()
    app = App(w, spec_of(container()), replicas=3)
    if w.rng.random() < 0.4:
        app.roll(spec_of(container(image="registry.example/app:1.8.1")), 3000, surge=3, keep=0)
    pods = app.fill(nodes, 3)
    app.settle(progressing="NewReplicaSetAvailable", since=2900)
    svc = service(w, app.name, app.labels, target=w.rng.choice([8888, "htpp", 80]))
    w.add(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        w.meta(f"{app.name}-x1", w.ns, 400, labels={"kubernetes.io/service-name": app.name}),
        addressType="IPv4",
        ports=[{"name": "http", "port": 8888}],
        endpoints=[{"addresses": ["10.244.3.9"], "conditions": {"ready": True}} for _ in pods],
    )
    noise(w, nodes)
    labels = w.rng.choice(
        [{"namespace": w.ns, "service": svc["metadata"]["name"]}, {"namespace": w.ns, "deployment": app.name}]
    )
    w.alert(
        w.rng.choice(["TargetDown", "HighErrorRate", "ProbeFailed"]), labels, 9, ksm=False, text="connection refused"
    )
    return ["escalate"], [RESTART, ROLL, SCALE, POD]


ROWS: dict[str, Row] = {
    "F25": f25,
    "c-new-oom": f03_new_oom,
    "c-old-crash": f09_old_crash,
    "c-registry": f12_registry,
    "c-full": f14_full,
    "c-liveness": f24_liveness,
    "c-unready-steady": f24_dependency,
    "c-volume-zone": f20_volume_zone,
}
