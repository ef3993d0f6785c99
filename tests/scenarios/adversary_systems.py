"""Rows about components, nodes, capacity, storage and jobs: F05, F26 to F51, and their contrasts that the list does not show."""
from __future__ import annotations

from typing import Any

from tests.scenarios.adversary_apps import App, container, noise, service, set_status, spec_of, statefulset
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
    f01,
    f02,
    pod_alert,
)
from tests.scenarios.adversary_world import Raw, World

HPA_MAX, PVC_GROW, SUSPEND, COMPONENT = "raise_hpa_max", "expand_pvc", "suspend_cronjob", "restart_component"


def steady(w: World, nodes: list[Raw], spec: Raw, n: int, state: str = "ready", name: str = "", ns: str = "", **how: Any) -> App:
    """A Deployment without a rollout for days, all of whose pods are in that state."""
    app = App(w, spec, replicas=n, name=name, ns=ns)
    if w.rng.random() < 0.4:
        app.roll(spec, 4000, surge=n, keep=0)
    app.fill(nodes, n, state=state, minutes=3900, **how)
    app.settle(progressing="NewReplicaSetAvailable", since=3800, available_since=None if state == "ready" else 20)
    return app


def client(w: World, host: str) -> Raw:
    style = w.rng.choice(["url", "host", "arg"])
    if style == "url":
        return spec_of(container(env=[{"name": "DATABASE_URL", "value": f"postgres://app@{host}:5432/app"}]))
    if style == "host":
        return spec_of(container(env=[{"name": "PGHOST", "value": host}, {"name": "PGPORT", "value": "5432"}]))
    return spec_of(container(args=[f"--db={host}:5432"]))


def f05(w: World) -> Expect:
    nodes = w.nodes()
    kind = w.rng.choice(["deploy", "deploy", "sts", "zero"])
    host = w.rng.choice(["postgres", f"postgres.{w.ns}.svc.cluster.local", "postgres"])
    if kind == "sts":
        db, pods = statefulset(w, spec_of(container("postgres", "postgres:16")), name="postgres")
        set_status(w, pods[0], "crash", 500, exit_code=1, restarts=9)
        db["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
        labels = {"app": "postgres"}
    else:
        app = App(w, spec_of(container("postgres", "postgres:16")), replicas=0 if kind == "zero" else 1, name="postgres",
                  labels={"app": "postgres"})
        if kind == "deploy":
            app.fill(nodes, 1, state=w.rng.choice(["crash", "unready"]), exit_code=2, minutes=5000, since=25)
        app.settle(progressing="NewReplicaSetAvailable", since=6000, available_since=25)
        labels = app.labels
    service(w, "postgres", labels, port=5432, target=5432)
    apps = [steady(w, nodes, client(w, host), w.rng.randint(1, 3), "crash", exit_code=1) for _ in range(2)]
    for a in apps:
        w.logs[f"{a.ns}/{a.pods[0]['metadata']['name']}/app"] = "dial tcp: lookup postgres: connect: connection refused"
        w.alert("KubePodCrashLooping", {"namespace": a.ns, "pod": a.pods[0]["metadata"]["name"], "container": "app"}, 12, severity="critical")
    about = {"statefulset": "postgres"} if kind == "sts" else {"deployment": "postgres"}
    w.alert("KubeStatefulSetReplicasMismatch" if kind == "sts" else "KubeDeploymentReplicasMismatch", {"namespace": w.ns, **about}, 10)
    if w.rng.random() < 0.3:
        w.alerts.reverse()
    noise(w, nodes)
    if kind == "sts":
        return ["escalate", COMPONENT, "restart_statefulset"], [RESTART, ROLL, SCALE, MEM]
    right = [SCALE] if kind == "zero" else [COMPONENT, RESTART]
    return right, [ROLL, MEM, POD, *([RESTART] if kind == "zero" else [SCALE])]


def f26(w: World) -> Expect:
    nodes = w.nodes()
    a = App(w, spec_of(container()), labels={"app": "front", "tier": "web"})
    b = App(w, spec_of(container()), labels={"app": "admin", "tier": "web"}, replicas=1)
    for app in (a, b):
        app.fill(nodes, app.obj["spec"]["replicas"])
        app.settle(progressing="NewReplicaSetAvailable", since=9000)
    service(w, a.name, {"tier": "web"})
    noise(w, nodes)
    w.alert("HighErrorRate", w.rng.choice([{"namespace": w.ns, "service": a.name}, {"namespace": w.ns, "deployment": a.name}]), 9, ksm=False)
    return ["escalate"], [SCALE, RESTART, ROLL, POD]


def f28(w: World) -> Expect:
    nodes = w.nodes()
    backend = steady(w, nodes, spec_of(container()), 2, name="inventory")
    app = steady(w, nodes, spec_of(container(env=[{"name": "INV", "value": "http://inventory:80"}])), 3,
                 w.rng.choice(["crash", "unready", "ready"]))
    w.logs[f"{app.ns}/{app.pods[0]['metadata']['name']}/app"] = "dial tcp: lookup inventory on 10.96.0.10:53: no such host"
    noise(w, nodes)
    if w.rng.random() < 0.3:
        w.alert("TargetDown", {"namespace": w.ns, "service": backend.name}, 8, ksm=False)
    else:
        pod_alert(w, app, app.pods[0], 8)
    return ["escalate", "no_action"] if app.pods[0]["status"]["containerStatuses"][0]["ready"] else ["escalate"], [RESTART, ROLL, SCALE, MEM]


def f29(w: World) -> Expect:
    nodes = w.nodes()
    dns = App(w, spec_of(container("coredns", "coredns:1.12")), replicas=0, name="coredns", ns="kube-system", labels={"k8s-app": "kube-dns"})
    dns.settle(progressing="NewReplicaSetAvailable", since=9000)
    service(w, "kube-dns", {"k8s-app": "kube-dns"}, ns="kube-system", port=53, target=53)
    apps = [steady(w, nodes, client(w, "pg.data"), w.rng.randint(1, 2), w.rng.choice(["crash", "crash", "unready"])) for _ in range(3)]
    if w.rng.random() < 0.3:
        w.alert("KubeDeploymentReplicasMismatch", {"namespace": "kube-system", "deployment": "coredns"}, 10, severity="critical")
    elif w.rng.random() < 0.3:
        w.alert("CoreDNSDown", {}, 9, severity="critical", ksm=False)
    for a in apps:
        w.logs[f"{a.ns}/{a.pods[0]['metadata']['name']}/app"] = "lookup pg.data on 10.96.0.10:53: read udp: i/o timeout"
        w.alert("KubePodCrashLooping", {"namespace": a.ns, "pod": a.pods[0]["metadata"]["name"], "container": "app"}, 9)
    noise(w, nodes)
    return [SCALE], [RESTART, ROLL, MEM, POD, CORDON]


def f31(w: World) -> Expect:
    nodes = w.nodes()
    app = App(w, spec_of(container()), replicas=0)
    key, value = w.rng.choice([("change.example.com/ticket", "CHG0031337"), ("ops.example.com/planned", "true"), ("sre/scaled-down-by", "anna"),
                               ("kubernetes.io/change-cause", "CHG-42 Abschaltung bis Montag"), ("example.com/reason", "db migration until 22:00 UTC"),
                               ("downscaler/original-replicas", "3"), ("maintenance-window", "2026-11-20T10:00Z/PT4H"),
                               ("motivo", "mantenimiento programado"), ("作業", "計画停止")])
    app.obj["metadata"]["annotations"][key] = value
    app.settle(progressing="NewReplicaSetAvailable", since=60)
    if w.rng.random() < 0.4:  # others miss it: still planned
        service(w, app.name, app.labels)
        steady(w, nodes, spec_of(container(env=[{"name": "U", "value": f"http://{app.name}:80"}])), 2, "crash")
    noise(w, nodes)
    w.alert(w.rng.choice(["KubeDeploymentReplicasMismatch", "DeploymentHasNoReplicas", "ServiceDown"]), {"namespace": w.ns, "deployment": app.name}, 30)
    return ["no_action", "escalate"], [SCALE, ROLL, RESTART]


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
        w.alert("KubeNodeNotReady", {"node": name, "condition": "Ready", "status": "unknown"}, minutes - 2, severity="critical")
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
            c |= {"status": "True", "reason": f"KubeletHas{kind}", "message": f"kubelet has {kind}", "lastTransitionTime": w.at(8)}
    nodes[0]["spec"]["taints"] = [{"key": "node.kubernetes.io/disk-pressure" if "Disk" in kind else "node.kubernetes.io/memory-pressure",
                                   "effect": "NoSchedule", "timeAdded": w.at(8)}]
    return nodes, nodes[0]


def f36(w: World) -> Expect:
    nodes, node = pressed(w, "DiskPressure")
    hog = App(w, spec_of(container(), volumes=[{"name": "tmp", "emptyDir": {}}]), replicas=1)
    hog.pod(node, minutes=600)
    hog.settle()
    other = App(w, spec_of(container()), replicas=2)
    other.fill([node], 2)
    other.settle()
    metric = w.rng.choice(["container_fs_usage_bytes", "container_fs_usage_bytes", "pod_ephemeral_storage_usage_bytes",
                           "kubelet_container_log_filesystem_used_bytes"])
    for app in (hog, other):
        for p in app.pods:
            size = 61e9 if app is hog else w.rng.uniform(1e7, 9e8)
            name = p["metadata"]["name"]
            labels = {"namespace": app.ns, "pod": name, "node": node["metadata"]["name"]}
            if metric == "pod_ephemeral_storage_usage_bytes":
                labels = {"pod_namespace": app.ns, "pod_name": name, "node_name": node["metadata"]["name"]} if w.rng.random() < 0.3 else labels
            else:
                labels |= {"container": "app"}
            w.metric(metric, labels, [(m, size * (1 - m / 100)) for m in (10, 5, 1)])
    w.event(node, "EvictionThresholdMet", "Attempting to reclaim ephemeral-storage", 3)
    noise(w, nodes[1:])
    w.alert(w.rng.choice(["KubeNodePressure", "NodeDiskPressure", "KubeNodePressure"]), {"node": node["metadata"]["name"], "condition": "DiskPressure"}, 6)
    return [EVICT], [CORDON, ROLL, RESTART, SCALE]


def hpa(w: World, app: App, *, top: int, over: bool, v1: bool = False, active: bool = True) -> Raw:
    now = app.obj["spec"]["replicas"]
    use = 96 if over else 41
    spec: Raw = {"minReplicas": 1, "maxReplicas": top, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app.name}}
    status: Raw = {"currentReplicas": now, "desiredReplicas": now, "lastScaleTime": w.at(30)}
    if v1:
        return w.add("autoscaling/v1", "HorizontalPodAutoscaler", w.meta(app.name, app.ns, 50000),
                     spec=spec | {"targetCPUUtilizationPercentage": 60}, status=status | {"currentCPUUtilizationPercentage": use})
    conditions = [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "recommended size matches current size",
                   "lastTransitionTime": w.at(900)},
                  {"type": "ScalingActive", "status": str(active), "reason": "ValidMetricFound" if active else "FailedGetResourceMetric",
                   "message": "", "lastTransitionTime": w.at(900)},
                  {"type": "ScalingLimited", "status": str(over), "reason": "TooManyReplicas" if over else "DesiredWithinRange",
                   "message": "the desired replica count is more than the maximum replica count", "lastTransitionTime": w.at(20)}]
    return w.add("autoscaling/v2", "HorizontalPodAutoscaler", w.meta(app.name, app.ns, 50000),
                 spec=spec | {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]},
                 status=status | {"conditions": conditions, "currentMetrics": [
                     {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": use, "averageValue": "480m"}}}]})


def load(w: World, app: App, shape: list[float], name: str = "http_requests_total", **labels: str) -> None:
    """A request counter per pod whose rate follows `shape` over the last hour."""
    for p in app.pods:
        total, points = 1e6, []
        for k, rate in enumerate(shape):
            total += rate * 120
            points.append(((len(shape) - k) * 2, total))
        w.metric(name, {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app", "code": "200", **labels}, points)


def cpu(w: World, app: App, cores: list[float]) -> None:
    for p in app.pods:
        total, points = 5e4, []
        for k, used in enumerate(cores):
            total += used * 120
            points.append(((len(cores) - k) * 2, total))
        w.metric("container_cpu_usage_seconds_total", {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app", "cpu": "total"}, points)


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
        w.add("v1", "ResourceQuota", w.meta("compute", app.ns, 50000), spec={"hard": {"limits.cpu": "4"}},
              status={"hard": {"limits.cpu": "4"}, "used": {"limits.cpu": "4"}})
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
        w.metric("nginx_ingress_controller_requests", {"namespace": app.ns, "ingress": app.name, "service": app.name}, [(58 - 2 * k, 1e5 + 6000 * k) for k in range(28)])
    elif form == 2:
        load(w, app, [50.0] * 10 + [180.0] * 18, attempt="retry")
        load(w, app, burst, attempt="first")
    else:
        load(w, app, burst)
    for p in app.pods:
        w.metric(w.rng.choice(["queue_length", "http_server_queue_depth", "worker_queue_size"]), {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app"},
                 [(58 - 2 * k, 2 if k < 10 else 1000) for k in range(28)])
    cpu(w, app, [0.2] * 10 + [0.48] * 18)
    if w.rng.random() < 0.3:
        hpa(w, app, top=3, over=True)
    noise(w, nodes)
    w.alert(w.rng.choice(["HighLatency", "RequestLatencyP99High"]), {"namespace": app.ns, "deployment": app.name, "service": app.name}, 14, ksm=False)
    return ["escalate"], [RESTART, SCALE, HPA_MAX, ROLL, POD, MEM]


def f41(w: World) -> Expect:
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container(memory="512Mi")), w.rng.randint(1, 4))
    hours, step = w.rng.choice([(2, 2), (6, 5), (12, 10)])
    for p in app.pods:
        n = hours * 60 // step
        w.metric("container_memory_working_set_bytes", {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app", "image": "x"},
                 [((n - k) * step, 2**20 * (180 + 260 * k / n + w.rng.uniform(-4, 4))) for k in range(n)])
    if w.rng.random() < 0.6:
        load(w, app, [50 + w.rng.uniform(-3, 3) for _ in range(28)])
        cpu(w, app, [0.1] * 28)
    if w.rng.random() < 0.5:
        w.add("policy/v1", "PodDisruptionBudget", w.meta(app.name, app.ns, 9000), spec={"maxUnavailable": 1, "selector": {"matchLabels": app.labels}},
              status={"disruptionsAllowed": 1, "currentHealthy": len(app.pods), "desiredHealthy": len(app.pods) - 1, "expectedPods": len(app.pods)})
    noise(w, nodes)
    pod_alert(w, app, app.pods[0], 20, w.rng.choice(["ContainerMemoryNearLimit", "ContainerMemoryGrowing", "KubeContainerMemoryHigh"]))
    return [RESTART], [ROLL, SCALE, CORDON, EVICT, MEM]


def f41_warm(w: World) -> Expect:
    """Contrast to F41: memory that grows with load, or a cache that is warming."""
    nodes = w.nodes()
    app = steady(w, nodes, spec_of(container(memory="512Mi")), 2)
    form = w.rng.choice(["load", "cache"])
    for p in app.pods:
        w.metric("container_memory_working_set_bytes", {"namespace": app.ns, "pod": p["metadata"]["name"], "container": "app"},
                 [((60 - k) * 2, 2**20 * (150 + (4 * k if form == "load" else 240 * (1 - 0.9**k)))) for k in range(60)])
    if form == "load":
        load(w, app, [20 + 2 * k for k in range(28)])
    pod_alert(w, app, app.pods[0], 20, "ContainerMemoryNearLimit")
    return ["escalate", "no_action"], [ROLL, CORDON, EVICT, MEM, RESTART]


def job(w: World, name: str, owner: Raw | None, minutes: float, *, failed: bool) -> Raw:
    meta = w.meta(name, w.ns, minutes, labels={"job-name": name, "batch.kubernetes.io/job-name": name})
    if owner:
        meta["ownerReferences"] = w.owner(owner)
    conditions = [{"type": t, "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": w.at(minutes - 5),
                   "message": "Job has reached the specified backoff limit"} for t in ("FailureTarget", "Failed")]
    if not failed:
        conditions = [{"type": "Complete", "status": "True", "reason": "CompletionsReached", "lastTransitionTime": w.at(minutes - 2)}]
    return w.add("batch/v1", "Job", meta, spec={"backoffLimit": 2, "template": {"spec": spec_of(container(), restartPolicy="Never"),
                                                                                   "metadata": {"labels": {"job-name": name}}}},
                 status={"conditions": conditions, "failed": 3} if failed else {"conditions": conditions, "succeeded": 1})


def f42(w: World) -> Expect:
    nodes = w.nodes()
    cron = w.add("batch/v1", "CronJob", w.meta("report", w.ns, 90000), spec={"schedule": "0 * * * *", "suspend": False}, status={}) \
        if w.rng.random() < 0.4 else None
    found = job(w, "report-29384756" if cron else "migrate", cron, 40, failed=True)
    for _ in range(3):
        pod = w.add("v1", "Pod", w.meta(f"{found['metadata']['name']}-{w.suffix()}", w.ns, 39, labels={"job-name": found["metadata"]["name"]},
                                        ownerReferences=w.owner(found)), spec=spec_of(container(), restartPolicy="Never"))
        set_status(w, pod, "crash", 39, restarts=0, exit_code=2)
        pod["status"]["phase"] = "Failed"
        s = pod["status"]["containerStatuses"][0]
        ended = s["lastState"].get("terminated") or s["state"].get("terminated")
        s |= {"state": {"terminated": ended}, "lastState": {}}
    noise(w, nodes)
    w.logs[f"{w.ns}/{pod['metadata']['name']}/app"] = "error: unknown flag --from-dat"
    w.alert(w.rng.choice(["KubeJobFailed", "JobFailed"]), {"namespace": w.ns, "job_name": found["metadata"]["name"], "condition": "true"}, 30)
    return ["escalate"], [POD, ROLL, RESTART, MEM, "delete_failed_job"]


def c_cron(w: World) -> Expect:
    """A CronJob whose every run fails."""
    cron = w.add("batch/v1", "CronJob", w.meta("sync", w.ns, 90000), spec={"schedule": "*/30 * * * *", "suspend": False}, status={})
    jobs = [job(w, f"sync-2938{k}", cron, 30 * k + 10, failed=True) for k in range(4)]
    w.alert("KubeJobFailed", {"namespace": w.ns, "job_name": jobs[0]["metadata"]["name"]}, 5)
    return [SUSPEND, "escalate"], [POD, ROLL, RESTART]


def volume(w: World, share: float, *, expandable: bool | None) -> Raw:
    claim = w.add("v1", "PersistentVolumeClaim", w.meta("data-pg-0", w.ns, 90000), spec={
        "accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "volumeName": "pvc-1", "resources": {"requests": {"storage": "20Gi"}}},
        status={"phase": "Bound", "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"]})
    w.add("storage.k8s.io/v1", "StorageClass", w.meta("gp3", None, 99999), provisioner="ebs.csi.aws.com", reclaimPolicy="Delete",
          volumeBindingMode="WaitForFirstConsumer", **({} if expandable is None else {"allowVolumeExpansion": expandable}))
    labels = {"namespace": w.ns, "persistentvolumeclaim": "data-pg-0", "node": "n"}
    size = 20 * 2**30
    w.metric("kubelet_volume_stats_capacity_bytes", labels, [(m, size) for m in (10, 5, 1)])
    if w.rng.random() < 0.5:
        w.metric("kubelet_volume_stats_available_bytes", labels, [(m, size * (1 - share + m / 1000)) for m in (10, 5, 1)])
    else:
        w.metric("kubelet_volume_stats_used_bytes", labels, [(m, size * (share - m / 1000)) for m in (10, 5, 1)])
    return claim


def f45(w: World) -> Expect:
    nodes = w.nodes(3)
    expandable = w.rng.random() < 0.7
    volume(w, w.rng.uniform(0.93, 0.985), expandable=True if expandable else w.rng.choice([False, None]))
    statefulset(w, spec_of(container(), volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data-pg-0"}}]), name="pg")
    noise(w, nodes)
    w.alert("KubePersistentVolumeFillingUp", {"namespace": w.ns, "persistentvolumeclaim": "data-pg-0"}, 12, severity="critical", ksm=False)
    return [PVC_GROW] if expandable else ["escalate"], [POD, EVICT, RESTART, *([] if expandable else [PVC_GROW])]


def f46(w: World) -> Expect:
    nodes = w.nodes(3)
    job(w, "train-17", None, 3000, failed=False)
    claim = volume(w, w.rng.choice([0.3, 0.97]), expandable=w.rng.random() < 0.5)
    claim["metadata"]["labels"] = {"job-name": "train-17"}
    noise(w, nodes)
    w.alert(w.rng.choice(["PersistentVolumeClaimOrphaned", "UnusedPVC"]), {"namespace": w.ns, "persistentvolumeclaim": "data-pg-0"}, 300)
    return ["no_action", "escalate"], ["delete_pvc", PVC_GROW, POD, EVICT]


def blocked(w: World, text: str) -> App:
    nodes = w.nodes()
    app = App(w, spec_of(container()), replicas=3)
    kept = w.rng.randint(0, 2)
    if w.rng.random() < 0.4:
        app.roll(spec_of(container(image="registry.example/app:1.9.0")), 35, keep=kept, surge=3 - kept)
        app.fill(nodes, kept, rs=app.sets[0])
    else:
        app.fill(nodes, kept)
    app.settle(since=20)
    rs = app.sets[-1]
    if w.rng.random() < 0.7:
        failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": text, "lastTransitionTime": w.at(20)}
        app.obj["status"]["conditions"].append(dict(failed))
        rs["status"]["conditions"] = [failed]
    w.event(rs, "FailedCreate", f"Error creating: {text}", 1, count=17)
    noise(w, nodes)
    w.alert("KubeDeploymentReplicasMismatch", {"namespace": app.ns, "deployment": app.name}, 10)
    return app


def f48(w: World) -> Expect:
    nodes = w.nodes(3)
    zero = w.rng.random() < 0.3
    hook = App(w, spec_of(container("webhook", "kyverno:1.14")), replicas=0 if zero else 1, name="kyverno", ns="kyverno", labels={"app": "kyverno"})
    if not zero:
        hook.fill(nodes, 1, state=w.rng.choice(["crash", "unready"]), minutes=5000, since=30)
    hook.settle(progressing="NewReplicaSetAvailable", since=6000, available_since=30)
    service(w, "kyverno-svc", {"app": "kyverno"}, ns="kyverno", port=443, target=9443)
    w.add("admissionregistration.k8s.io/v1", w.rng.choice(["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]), w.meta("kyverno-cfg", None, 9000), webhooks=[{
        "name": "validate.kyverno.svc-fail", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"caBundle": "LS0t", "service": {"name": "kyverno-svc", "namespace": "kyverno", "path": "/validate/fail", "port": 443}}}])
    why = w.rng.choice(['no endpoints available for service "kyverno-svc"', "dial tcp 10.96.4.4:443: connect: connection refused"])
    blocked(w, 'Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post '
            f'"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": {why}')
    return ([SCALE, COMPONENT] if zero else [COMPONENT, RESTART]), [ROLL, MEM, POD, *([] if zero else [SCALE])]


def f49(w: World) -> Expect:
    w.add("v1", "Namespace", w.meta(w.ns, None, 90000, labels={"pod-security.kubernetes.io/enforce": "restricted", "kubernetes.io/metadata.name": w.ns}),
          spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"})
    blocked(w, 'pods "app-7d4b9-x2x8z" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" must '
            'set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities, runAsNonRoot != true, seccompProfile')
    return ["escalate"], [ROLL, RESTART, SCALE, POD]


def c_quota(w: World) -> Expect:
    blocked(w, 'pods "app-7d4b9-x2x8z" is forbidden: exceeded quota: compute, requested: requests.cpu=500m, used: requests.cpu=4, limited: requests.cpu=4')
    return ["escalate"], [ROLL, RESTART, SCALE, POD]


def f51(w: World) -> Expect:
    found = (f01 if w.rng.random() < 0.5 else f02)(w)
    one = w.alerts[0]
    w.alerts = [one]
    pods = [o for o in w.objects if o["kind"] == "Pod" and o["status"].get("containerStatuses", [{}])[0].get("restartCount")]
    for p in pods[:5]:
        w.alert("KubePodCrashLooping", {"namespace": p["metadata"]["namespace"], "pod": p["metadata"]["name"], "container": "app"}, 3)
    return found


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


def c_resolved(w: World) -> Expect:
    """The alert resolved itself."""
    (f01 if w.rng.random() < 0.5 else f02)(w)
    for a in w.alerts:
        a |= {"status": "resolved", "endsAt": w.at(0.5)}
    return ["no_action", "escalate"], [ROLL, MEM, RESTART, SCALE]


ROWS: dict[str, Row] = {"F05": f05, "F26": f26, "F28": f28, "F29": f29, "F31": f31, "F33": f33, "F34": f34, "F36": f36, "F38": f38,
                        "F40": f40, "F41": f41, "F42": f42, "F45": f45, "F46": f46, "F48": f48, "F49": f49, "F51": f51,
                        "c-hpa-false": f39_hpa_false, "c-warm": f41_warm, "c-cron": c_cron, "c-quota": c_quota,
                        "c-node-back": c_node_back, "c-no-room": c_two_nodes, "c-resolved": c_resolved}
