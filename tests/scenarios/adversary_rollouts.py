"""Rows where a rollout, memory or scheduling is the matter: F01 to F25, and their contrasts that the list does not
show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.scenarios.adversary_apps import App, container, noise, set_status, spec_of
from tests.scenarios.adversary_world import Raw, World

ROLL, RESTART, SCALE, MEM = "rollback_deployment", "restart_deployment", "scale_deployment", "set_memory_limit"
EVICT, CORDON, POD, UNCORDON = "evict_pod", "cordon_node", "restart_pod", "uncordon_node"
Expect = tuple[list[str], list[str]]
Row = Callable[[World], Expect]


def pod_alert(w: World, app: App, pod: Raw, minutes: float, name: str = "KubePodCrashLooping", **more: Any) -> None:
    """An alert about the pod, or only about its Deployment, as one or as several."""
    style = w.rng.random()
    m = pod["metadata"]
    c = pod["spec"]["containers"][0]["name"]
    if style < 0.2:
        w.alert(
            w.rng.choice(["KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck", "DeploymentUnavailable"]),
            {"namespace": app.ns, "deployment": app.name},
            minutes,
            **more,
        )
        return
    labels = {"namespace": app.ns, "pod": m["name"], "uid": m["uid"]}
    if name != "KubePodNotReady":
        labels["container"] = c
    w.alert(name, labels, minutes, **more)
    if style > 0.8:
        w.alert("KubeDeploymentReplicasMismatch", {"namespace": app.ns, "deployment": app.name}, minutes - 1)


def rolled(
    w: World,
    new: Raw,
    *,
    old: Raw | None = None,
    age: float | None = None,
    state: str = "crash",
    surge: int = 1,
    keep: int | None = None,
    bare: bool = False,
    **how: Any,
) -> tuple[App, Raw, float]:
    """An app whose newest template fails while the old pods serve; (app, failing pod, rollout's age in minutes)."""
    nodes = w.nodes()
    age = age or w.rng.choice([9, 14, 22, 35, 55])
    app = App(w, old or spec_of(container()), replicas=w.rng.randint(2, 5))
    if w.rng.random() < 0.4:  # earlier history
        app.roll(old or spec_of(container(image="registry.example/app:1.7.9")), 20000)
        if w.rng.random() < 0.3:
            app.roll(old or spec_of(container()), 15000)
        for rs in app.sets[:-1]:
            rs["spec"]["replicas"] = 0
    before = app.sets[-1]
    app.roll(new, age, surge=surge, keep=keep)
    app.fill(
        nodes, keep if keep is not None else app.obj["spec"]["replicas"], rs=before, minutes=min(14000, app.age - 5)
    )
    pods = [
        app.pod(None if state == "pending" else nodes[k % len(nodes)], state, minutes=age - 0.2, **how)
        for k in range(surge)
    ]
    late = age > 11
    app.settle(
        progressing="ProgressDeadlineExceeded" if late else "ReplicaSetUpdated",
        since=max(age - 10, 0.2) if late else age,
    )
    if not bare:
        noise(w, nodes)
    return app, pods[0], age


def broken() -> list[Raw]:
    """New containers that end at once with an exit code, each a plausible change."""
    return [
        container(command=["/bin/app"], args=["--confg=/etc/app.yaml"]),
        container(image="registry.example/app:1.9.0-rc1"),
        container(env=[{"name": "FEATURE_X", "value": "on"}]),
        container(command=["/bin/sh", "-c", "exit 1"]),
    ]


def f01(w: World) -> Expect:
    how = w.rng.randint(0, 4)
    new = spec_of(w.rng.choice(broken()))
    old = spec_of(container())
    if how == 1:  # a sidecar serves beside it
        new["containers"].append(container("istio-proxy", "istio/proxyv2:1.22"))
        old["containers"].append(container("istio-proxy", "istio/proxyv2:1.22"))
    if how == 2:  # Recreate: nothing serves any more
        app, pod, age = rolled(w, new, old=old, keep=0, surge=2, exit_code=2)
        app.obj["spec"]["strategy"] = {"type": "Recreate"}
        app.settle(available_since=age - 0.1, since=age)
    else:
        app, pod, age = rolled(
            w,
            new,
            old=old,
            surge=w.rng.choice([1, 1, 2]),
            exit_code=w.rng.choice([1, 2, 127, 139, 255]),
            restarts=w.rng.randint(3, 12),
        )
    w.logs[f"{app.ns}/{pod['metadata']['name']}/app"] = "unknown flag: --confg\nexit status 1\n"
    pod_alert(w, app, pod, max(1, age - w.rng.choice([3, 5, 8])))
    return [ROLL], [MEM, SCALE, EVICT, CORDON, RESTART, POD]


def f02(w: World) -> Expect:
    nodes = w.nodes()
    memory = w.rng.choice(["64Mi", "128Mi", "256Mi", "512Mi", "1Gi"])
    spec = spec_of(container(memory=memory))
    name = "app"
    if w.rng.random() < 0.3:
        spec["containers"].insert(0, container("sidecar", "envoy:1"))
    app = App(w, spec, replicas=w.rng.randint(1, 4), age=w.rng.choice([9000, 40000]))
    if w.rng.random() < 0.5:
        app.roll(spec, w.rng.choice([1500, 4000, 7000]), surge=app.obj["spec"]["replicas"], keep=0)
    bad = next(i for i, c in enumerate(spec["containers"]) if c["name"] == name)
    running = w.rng.random() < 0.3
    for pod in app.fill(nodes, app.obj["spec"]["replicas"], minutes=1400):
        set_status(
            w,
            pod,
            "crash",
            1400,
            exit_code=137,
            reason="OOMKilled",
            restarts=w.rng.randint(3, 15),
            last=w.rng.uniform(1, 9),
            bad=bad,
        )
        if running:
            s = pod["status"]["containerStatuses"][bad]
            s |= {
                "lastState": {"terminated": s["lastState"].get("terminated") or s["state"]["terminated"]},
                "ready": True,
                "state": {"running": {"startedAt": w.at(1)}},
            }
            for c in pod["status"]["conditions"]:
                c["status"] = "True"
        top = float({"64Mi": 64, "128Mi": 128, "256Mi": 256, "512Mi": 512, "1Gi": 1024}[memory]) * 2**20
        w.metric(
            "container_memory_working_set_bytes",
            {
                "namespace": app.ns,
                "pod": pod["metadata"]["name"],
                "container": name,
                "id": "/kubepods/x",
                "image": "i",
                "node": "n",
            },
            [(m, top * w.rng.uniform(0.9, 0.999)) for m in range(60, 0, -2)],
        )
    app.settle(progressing="NewReplicaSetAvailable", since=1300, available_since=5)
    noise(w, nodes)
    alert = w.rng.choice(
        ["KubePodCrashLooping", "KubePodCrashLooping", "ContainerOOMKilled", "PodOOMKilled", "KubeContainerOOMKilled"]
    )
    pod_alert(w, app, app.pods[0], w.rng.choice([5, 20, 50]), alert)
    return [MEM], [ROLL, SCALE, EVICT, CORDON, RESTART]


def missing_ref(w: World) -> tuple[Raw, str, str]:
    kind = w.rng.choice(["secret", "configmap", "key"])
    if kind == "secret":
        return (
            {"env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "pw"}}}]},
            'secret "db-creds" not found',
            "CreateContainerConfigError",
        )
    if kind == "configmap":
        return (
            {"envFrom": [{"configMapRef": {"name": "settings"}}]},
            'configmap "settings" not found',
            "CreateContainerConfigError",
        )
    return (
        {"env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "pw2"}}}]},
        f"couldn't find key pw2 in Secret {w.ns}/db-creds",
        "CreateContainerConfigError",
    )


def f04(w: World) -> Expect:
    refs, text, reason = missing_ref(w)
    if w.rng.random() < 0.5:
        app, pod, age = rolled(w, spec_of(container(**refs)), state="waiting", waiting=reason, text=text)
        w.event(pod, "Failed", f"Error: {text}")
        pod_alert(w, app, pod, max(1, age - 6), w.rng.choice(["KubeContainerWaiting", "KubePodNotReady"]))
        return [ROLL, "escalate"], [RESTART, POD, MEM, SCALE]
    nodes = w.nodes()
    app = App(w, spec_of(container(**refs)), replicas=3)
    app.fill(nodes, 2)
    pod = app.pod(nodes[-1], "waiting", minutes=25, waiting=reason, text=text)
    app.settle(progressing="NewReplicaSetAvailable", since=30000)
    w.event(pod, "Failed", f"Error: {text}")
    noise(w, nodes)
    pod_alert(w, app, pod, 10, w.rng.choice(["KubeContainerWaiting", "KubePodNotReady"]))
    return ["escalate"], [ROLL, RESTART, POD, MEM, SCALE]


def f04_volume(w: World) -> Expect:
    """The same with a volume: the kubelet waits in ContainerCreating and says FailedMount."""
    spec = spec_of(
        container(volumeMounts=[{"name": "cfg", "mountPath": "/etc/app"}]),
        volumes=[{"name": "cfg", "configMap": {"name": "app-cfg", "defaultMode": 420}}],
    )
    app, pod, age = rolled(w, spec, state="creating", age=18)
    w.event(pod, "FailedMount", 'MountVolume.SetUp failed for volume "cfg" : configmap "app-cfg" not found', 1)
    pod_alert(w, app, pod, max(1, age - 6), "KubeContainerWaiting")
    return [ROLL, "escalate"], [RESTART, POD, MEM, SCALE]


def f07(w: World) -> Expect:
    found = f01(w)
    for a in w.alerts:
        a["annotations"]["description"] = w.rng.choice(
            [
                "Container was OOMKilled, exit code 137. Raise the memory limit.",
                "out of memory: memory limit exceeded",
                "Speicher voll: OOM",
            ]
        )
    return found


def f10(w: World) -> Expect:
    new = spec_of(container(image="registry.example/app:1.9.0-arm64"))
    if w.rng.random() < 0.5:
        app, pod, age = rolled(w, new, exit_code=w.rng.choice([1, 255]))
        w.logs[f"{app.ns}/{pod['metadata']['name']}/app"] = "exec /usr/local/bin/app: exec format error"
    else:
        app, pod, age = rolled(
            w, new, exit_code=128, reason="StartError", waiting=w.rng.choice(["CrashLoopBackOff", "RunContainerError"])
        )
        w.event(
            pod,
            "Failed",
            "Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: "
            'runc create failed: unable to start container process: exec: "/app": exec format error: unknown',
        )
    pod_alert(w, app, pod, max(1, age - 5))
    return [ROLL], [MEM, SCALE, EVICT, CORDON, RESTART]


def f11(w: World) -> Expect:
    image = w.rng.choice(["registry.example/team/app:v1.9.99", "app:1.9-tpyo", "ghcr.io/acme/app:sha-deadbee"])
    texts = [
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = failed to '
        f"pull and unpack image "
        f'"{image}": failed to resolve reference "{image}": {image}: not found',
        f'Back-off pulling image "{image}"',
        f"rpc error: code = Unknown desc = Error response from daemon: manifest for {image} not found: "
        f"manifest unknown",
    ]
    app, pod, age = rolled(
        w,
        spec_of(container(image=image)),
        state="waiting",
        waiting=w.rng.choice(["ImagePullBackOff", "ErrImagePull"]),
        text=w.rng.choice(texts),
        surge=w.rng.choice([1, 2]),
    )
    w.event(pod, "Failed", f'Failed to pull image "{image}": {texts[0]}')
    w.event(pod, "Failed", "Error: ImagePullBackOff")
    pod_alert(
        w, app, pod, max(1, age - 5), w.rng.choice(["KubeContainerWaiting", "KubePodNotReady", "ImagePullBackOff"])
    )
    return [ROLL], [MEM, SCALE, EVICT, CORDON, POD, RESTART]


def unschedulable(w: World, new: Raw, text: str, *, old: Raw | None = None) -> tuple[App, Raw]:
    app, pod, age = rolled(w, new, old=old, state="pending", text=text)
    nodes = sum(1 for o in w.objects if o["kind"] == "Node")
    said = text.replace("{n}", str(nodes))
    pod["status"]["conditions"][0]["message"] = said
    for e in w.events:
        for key in ("message", "note"):
            if e.get("reason") == "FailedScheduling" and key in e:
                e[key] = said
    pod_alert(w, app, pod, max(1, age - 5), w.rng.choice(["KubePodNotReady", "KubePodPending", "PodUnschedulable"]))
    return app, pod


def f13(w: World) -> Expect:
    what, asks = w.rng.choice(
        [
            ("cpu", {"cpu": "64", "memory": "64Mi"}),
            ("memory", {"cpu": "100m", "memory": "512Gi"}),
            ("cpu", {"cpu": "32000m", "memory": "64Mi"}),
        ]
    )
    big = container()
    big["resources"] = {"requests": asks, "limits": asks}
    tail = w.rng.choice(
        [
            " preemption: 0/{n} nodes are available: {n} No preemption victims found for incoming pod.",
            " preemption: 0/{n} nodes are available: {n} Preemption is not helpful for scheduling.",
            "",
        ]
    )
    unschedulable(w, spec_of(big), "0/{n} nodes are available: {n} Insufficient " + what + "." + tail)
    return [ROLL], [SCALE, POD, EVICT, CORDON, RESTART]


def f15(w: World) -> Expect:
    new = spec_of(container())
    if w.rng.random() < 0.7:
        new["nodeSelector"] = {
            w.rng.choice(["disktype", "kubernetes.io/arch", "pool"]): w.rng.choice(["sdd", "amd46", "gpu-typo"])
        }
    else:
        new["affinity"] = {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["zz"]}
                            ]
                        }
                    ]
                }
            }
        }
    text = w.rng.choice(
        [
            "0/{n} nodes are available: {n} node(s) didn't match Pod's node affinity/selector. preemption: 0/{n} nodes "
            "are available: {n} Preemption is not helpful for scheduling.",
            "0/{n} nodes are available: {n} node(s) didn't match Pod's node affinity/selector.",
        ]
    )
    unschedulable(w, new, text)
    return [ROLL], [SCALE, POD, EVICT, CORDON, UNCORDON, RESTART]


def f16(w: World) -> Expect:
    nodes = w.nodes(3)
    key, value = w.rng.choice(
        [("maintenance", "true"), ("node.example.com/patching", "kernel-6.9"), ("ops/drain-window", "2026-11")]
    )
    for n in nodes:
        n["spec"]["taints"] = [{"key": key, "value": value, "effect": "NoSchedule"}]
        n["metadata"]["annotations"][
            w.rng.choice(["ops.example.com/note", "maintenance.example.com/reason", "wartung"])
        ] = w.rng.choice(
            [
                "planned maintenance until 18:00, CHG-4711",
                "Wartungsfenster bis 18 Uhr",
                "kernel upgrade, see ticket OPS-12",
            ]
        )
    app = App(w, spec_of(container()), replicas=3)
    if w.rng.random() < 0.4:
        app.roll(spec_of(container(image="registry.example/app:1.9.0")), 30)
        app.fill(nodes, 3, rs=app.sets[0])
    else:
        app.fill(nodes, 2)
    taint = "{" + key + ": " + value + "}"
    text = (
        f"0/3 nodes are available: 3 node(s) had untolerated taint {taint}. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    if w.rng.random() < 0.3:
        text = "0/3 nodes are available: 3 node(s) had untolerated taint(s)."
    pod = app.pod(None, "pending", minutes=28, text=text)
    app.settle()
    noise(w, nodes)
    pod_alert(w, app, pod, 12, "KubePodNotReady")
    return ["no_action", "escalate"], [ROLL, UNCORDON, SCALE, EVICT, RESTART, CORDON]


def f19(w: World) -> Expect:
    nodes = w.nodes(3)
    spec = spec_of(container(), volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data-x"}}])
    claim = w.add(
        "v1",
        "PersistentVolumeClaim",
        w.meta("data-x", w.ns, 40),
        status={"phase": "Pending"},
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
            "storageClassName": "fast-ssd",
            "volumeMode": "Filesystem",
        },
    )
    w.event(claim, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast-ssd" not found', 1)
    app = App(w, spec_of(container()), replicas=1)
    app.roll(spec, 40) if w.rng.random() < 0.5 else app.sets[-1]["spec"]["template"].update(spec=spec)
    app.obj["spec"]["template"]["spec"] = spec
    if len(app.sets) > 1:
        app.pod(nodes[0], rs=app.sets[0], minutes=20000)
    pod = app.pod(
        None,
        "pending",
        minutes=39,
        text="0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    )
    app.settle()
    noise(w, nodes)
    if w.rng.random() < 0.3:
        w.alert("KubePersistentVolumeClaimPending", {"namespace": w.ns, "persistentvolumeclaim": "data-x"}, 20)
    else:
        pod_alert(w, app, pod, 20, "KubePodNotReady")
    return ["escalate"], [RESTART, POD, SCALE, EVICT, MEM]


def f21(w: World) -> Expect:
    anti: Raw = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}
            ]
        }
    }
    nodes = w.nodes(3)
    app = App(w, spec_of(container(), affinity=anti), replicas=3)
    app.roll(spec_of(container(image="registry.example/app:1.9.0"), affinity=anti), 25)
    app.fill(nodes, 3, rs=app.sets[0])
    pod = app.pod(
        None,
        "pending",
        minutes=24,
        text="0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. "
        "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
    )
    app.settle(progressing="ProgressDeadlineExceeded", since=14)
    noise(w, nodes)
    pod_alert(w, app, pod, 12, "KubePodNotReady")
    return [ROLL, "escalate"], [SCALE, POD, EVICT, UNCORDON, RESTART]


def probe(port: Any = 8080, path: str = "/healthz") -> Raw:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": 10,
        "timeoutSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def f23(w: World) -> Expect:
    new = spec_of(
        container(readinessProbe=probe(w.rng.choice([8081, 9090, "admin"]), w.rng.choice(["/healthz", "/rdy"])))
    )
    app, pod, age = rolled(
        w, new, old=spec_of(container(readinessProbe=probe())), state="unready", surge=w.rng.choice([1, 2])
    )
    w.event(
        pod,
        "Unhealthy",
        w.rng.choice(
            [
                'Readiness probe failed: Get "http://10.244.3.9:8081/healthz": dial tcp 10.244.3.9:8081: '
                "connect: connection refused",
                "Readiness probe failed: HTTP probe failed with statuscode: 404",
            ]
        ),
    )
    pod_alert(w, app, pod, max(1, age - 5), "KubePodNotReady")
    return [ROLL], [SCALE, MEM, CORDON, EVICT, RESTART, POD]


ROWS: dict[str, Row] = {
    "F01": f01,
    "F02": f02,
    "F04": f04,
    "F04v": f04_volume,
    "F07": f07,
    "F10": f10,
    "F11": f11,
    "F13": f13,
    "F15": f15,
    "F16": f16,
    "F19": f19,
    "F21": f21,
    "F23": f23,
}
