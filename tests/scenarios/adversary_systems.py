"""Rows about components, nodes, capacity, storage and jobs: F05, F26 to F31, F42 to F51, and their contrasts that
the list does not show."""

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
    Expect,
    Row,
    f01,
    f02,
    pod_alert,
)
from tests.scenarios.adversary_world import Raw, World

HPA_MAX, PVC_GROW, SUSPEND, COMPONENT = "raise_hpa_max", "expand_pvc", "suspend_cronjob", "restart_component"


def steady(
    w: World, nodes: list[Raw], spec: Raw, n: int, state: str = "ready", name: str = "", ns: str = "", **how: Any
) -> App:
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
        app = App(
            w,
            spec_of(container("postgres", "postgres:16")),
            replicas=0 if kind == "zero" else 1,
            name="postgres",
            labels={"app": "postgres"},
        )
        if kind == "deploy":
            app.fill(nodes, 1, state=w.rng.choice(["crash", "unready"]), exit_code=2, minutes=5000, since=25)
        app.settle(progressing="NewReplicaSetAvailable", since=6000, available_since=25)
        labels = app.labels
    service(w, "postgres", labels, port=5432, target=5432)
    apps = [steady(w, nodes, client(w, host), w.rng.randint(1, 3), "crash", exit_code=1) for _ in range(2)]
    for a in apps:
        w.logs[f"{a.ns}/{a.pods[0]['metadata']['name']}/app"] = "dial tcp: lookup postgres: connect: connection refused"
        w.alert(
            "KubePodCrashLooping",
            {"namespace": a.ns, "pod": a.pods[0]["metadata"]["name"], "container": "app"},
            12,
            severity="critical",
        )
    about = {"statefulset": "postgres"} if kind == "sts" else {"deployment": "postgres"}
    w.alert(
        "KubeStatefulSetReplicasMismatch" if kind == "sts" else "KubeDeploymentReplicasMismatch",
        {"namespace": w.ns, **about},
        10,
    )
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
    w.alert(
        "HighErrorRate",
        w.rng.choice([{"namespace": w.ns, "service": a.name}, {"namespace": w.ns, "deployment": a.name}]),
        9,
        ksm=False,
    )
    return ["escalate"], [SCALE, RESTART, ROLL, POD]


def f28(w: World) -> Expect:
    nodes = w.nodes()
    backend = steady(w, nodes, spec_of(container()), 2, name="inventory")
    app = steady(
        w,
        nodes,
        spec_of(container(env=[{"name": "INV", "value": "http://inventory:80"}])),
        3,
        w.rng.choice(["crash", "unready", "ready"]),
    )
    w.logs[f"{app.ns}/{app.pods[0]['metadata']['name']}/app"] = (
        "dial tcp: lookup inventory on 10.96.0.10:53: no such host"
    )
    noise(w, nodes)
    if w.rng.random() < 0.3:
        w.alert("TargetDown", {"namespace": w.ns, "service": backend.name}, 8, ksm=False)
    else:
        pod_alert(w, app, app.pods[0], 8)
    return ["escalate", "no_action"] if app.pods[0]["status"]["containerStatuses"][0]["ready"] else ["escalate"], [
        RESTART,
        ROLL,
        SCALE,
        MEM,
    ]


def f29(w: World) -> Expect:
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
    service(w, "kube-dns", {"k8s-app": "kube-dns"}, ns="kube-system", port=53, target=53)
    apps = [
        steady(w, nodes, client(w, "pg.data"), w.rng.randint(1, 2), w.rng.choice(["crash", "crash", "unready"]))
        for _ in range(3)
    ]
    if w.rng.random() < 0.3:
        w.alert(
            "KubeDeploymentReplicasMismatch",
            {"namespace": "kube-system", "deployment": "coredns"},
            10,
            severity="critical",
        )
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
    key, value = w.rng.choice(
        [
            ("change.example.com/ticket", "CHG0031337"),
            ("ops.example.com/planned", "true"),
            ("sre/scaled-down-by", "anna"),
            ("kubernetes.io/change-cause", "CHG-42 Abschaltung bis Montag"),
            ("example.com/reason", "db migration until 22:00 UTC"),
            ("downscaler/original-replicas", "3"),
            ("maintenance-window", "2026-11-20T10:00Z/PT4H"),
            ("motivo", "mantenimiento programado"),
            ("作業", "計画停止"),
        ]
    )
    app.obj["metadata"]["annotations"][key] = value
    app.settle(progressing="NewReplicaSetAvailable", since=60)
    if w.rng.random() < 0.4:  # others miss it: still planned
        service(w, app.name, app.labels)
        steady(w, nodes, spec_of(container(env=[{"name": "U", "value": f"http://{app.name}:80"}])), 2, "crash")
    noise(w, nodes)
    w.alert(
        w.rng.choice(["KubeDeploymentReplicasMismatch", "DeploymentHasNoReplicas", "ServiceDown"]),
        {"namespace": w.ns, "deployment": app.name},
        30,
    )
    return ["no_action", "escalate"], [SCALE, ROLL, RESTART]


def job(w: World, name: str, owner: Raw | None, minutes: float, *, failed: bool) -> Raw:
    meta = w.meta(name, w.ns, minutes, labels={"job-name": name, "batch.kubernetes.io/job-name": name})
    if owner:
        meta["ownerReferences"] = w.owner(owner)
    conditions = [
        {
            "type": t,
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "lastTransitionTime": w.at(minutes - 5),
            "message": "Job has reached the specified backoff limit",
        }
        for t in ("FailureTarget", "Failed")
    ]
    if not failed:
        conditions = [
            {
                "type": "Complete",
                "status": "True",
                "reason": "CompletionsReached",
                "lastTransitionTime": w.at(minutes - 2),
            }
        ]
    return w.add(
        "batch/v1",
        "Job",
        meta,
        spec={
            "backoffLimit": 2,
            "template": {
                "spec": spec_of(container(), restartPolicy="Never"),
                "metadata": {"labels": {"job-name": name}},
            },
        },
        status={"conditions": conditions, "failed": 3} if failed else {"conditions": conditions, "succeeded": 1},
    )


def f42(w: World) -> Expect:
    nodes = w.nodes()
    cron = (
        w.add(
            "batch/v1",
            "CronJob",
            w.meta("report", w.ns, 90000),
            spec={"schedule": "0 * * * *", "suspend": False},
            status={},
        )
        if w.rng.random() < 0.4
        else None
    )
    found = job(w, "report-29384756" if cron else "migrate", cron, 40, failed=True)
    for _ in range(3):
        pod = w.add(
            "v1",
            "Pod",
            w.meta(
                f"{found['metadata']['name']}-{w.suffix()}",
                w.ns,
                39,
                labels={"job-name": found["metadata"]["name"]},
                ownerReferences=w.owner(found),
            ),
            spec=spec_of(container(), restartPolicy="Never"),
        )
        set_status(w, pod, "crash", 39, restarts=0, exit_code=2)
        pod["status"]["phase"] = "Failed"
        s = pod["status"]["containerStatuses"][0]
        ended = s["lastState"].get("terminated") or s["state"].get("terminated")
        s |= {"state": {"terminated": ended}, "lastState": {}}
    noise(w, nodes)
    w.logs[f"{w.ns}/{pod['metadata']['name']}/app"] = "error: unknown flag --from-dat"
    w.alert(
        w.rng.choice(["KubeJobFailed", "JobFailed"]),
        {"namespace": w.ns, "job_name": found["metadata"]["name"], "condition": "true"},
        30,
    )
    return ["escalate"], [POD, ROLL, RESTART, MEM, "delete_failed_job"]


def c_cron(w: World) -> Expect:
    """A CronJob whose every run fails."""
    cron = w.add(
        "batch/v1",
        "CronJob",
        w.meta("sync", w.ns, 90000),
        spec={"schedule": "*/30 * * * *", "suspend": False},
        status={},
    )
    jobs = [job(w, f"sync-2938{k}", cron, 30 * k + 10, failed=True) for k in range(4)]
    w.alert("KubeJobFailed", {"namespace": w.ns, "job_name": jobs[0]["metadata"]["name"]}, 5)
    return [SUSPEND, "escalate"], [POD, ROLL, RESTART]


def volume(w: World, share: float, *, expandable: bool | None) -> Raw:
    claim = w.add(
        "v1",
        "PersistentVolumeClaim",
        w.meta("data-pg-0", w.ns, 90000),
        spec={
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "gp3",
            "volumeName": "pvc-1",
            "resources": {"requests": {"storage": "20Gi"}},
        },
        status={"phase": "Bound", "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"]},
    )
    w.add(
        "storage.k8s.io/v1",
        "StorageClass",
        w.meta("gp3", None, 99999),
        provisioner="ebs.csi.aws.com",
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
        **({} if expandable is None else {"allowVolumeExpansion": expandable}),
    )
    labels = {"namespace": w.ns, "persistentvolumeclaim": "data-pg-0", "node": "n"}
    size = 20 * 2**30
    w.metric("kubelet_volume_stats_capacity_bytes", labels, [(m, size) for m in (10, 5, 1)])
    if w.rng.random() < 0.5:
        w.metric(
            "kubelet_volume_stats_available_bytes", labels, [(m, size * (1 - share + m / 1000)) for m in (10, 5, 1)]
        )
    else:
        w.metric("kubelet_volume_stats_used_bytes", labels, [(m, size * (share - m / 1000)) for m in (10, 5, 1)])
    return claim


def f45(w: World) -> Expect:
    nodes = w.nodes(3)
    expandable = w.rng.random() < 0.7
    volume(w, w.rng.uniform(0.93, 0.985), expandable=True if expandable else w.rng.choice([False, None]))
    statefulset(
        w, spec_of(container(), volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data-pg-0"}}]), name="pg"
    )
    noise(w, nodes)
    w.alert(
        "KubePersistentVolumeFillingUp",
        {"namespace": w.ns, "persistentvolumeclaim": "data-pg-0"},
        12,
        severity="critical",
        ksm=False,
    )
    return [PVC_GROW] if expandable else ["escalate"], [POD, EVICT, RESTART, *([] if expandable else [PVC_GROW])]


def f46(w: World) -> Expect:
    nodes = w.nodes(3)
    job(w, "train-17", None, 3000, failed=False)
    claim = volume(w, w.rng.choice([0.3, 0.97]), expandable=w.rng.random() < 0.5)
    claim["metadata"]["labels"] = {"job-name": "train-17"}
    noise(w, nodes)
    w.alert(
        w.rng.choice(["PersistentVolumeClaimOrphaned", "UnusedPVC"]),
        {"namespace": w.ns, "persistentvolumeclaim": "data-pg-0"},
        300,
    )
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
        failed = {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": text,
            "lastTransitionTime": w.at(20),
        }
        app.obj["status"]["conditions"].append(dict(failed))
        rs["status"]["conditions"] = [failed]
    w.event(rs, "FailedCreate", f"Error creating: {text}", 1, count=17)
    noise(w, nodes)
    w.alert("KubeDeploymentReplicasMismatch", {"namespace": app.ns, "deployment": app.name}, 10)
    return app


def f48(w: World) -> Expect:
    nodes = w.nodes(3)
    zero = w.rng.random() < 0.3
    hook = App(
        w,
        spec_of(container("webhook", "kyverno:1.14")),
        replicas=0 if zero else 1,
        name="kyverno",
        ns="kyverno",
        labels={"app": "kyverno"},
    )
    if not zero:
        hook.fill(nodes, 1, state=w.rng.choice(["crash", "unready"]), minutes=5000, since=30)
    hook.settle(progressing="NewReplicaSetAvailable", since=6000, available_since=30)
    service(w, "kyverno-svc", {"app": "kyverno"}, ns="kyverno", port=443, target=9443)
    w.add(
        "admissionregistration.k8s.io/v1",
        w.rng.choice(["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]),
        w.meta("kyverno-cfg", None, 9000),
        webhooks=[
            {
                "name": "validate.kyverno.svc-fail",
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "caBundle": "LS0t",
                    "service": {"name": "kyverno-svc", "namespace": "kyverno", "path": "/validate/fail", "port": 443},
                },
            }
        ],
    )
    why = w.rng.choice(
        ['no endpoints available for service "kyverno-svc"', "dial tcp 10.96.4.4:443: connect: connection refused"]
    )
    blocked(
        w,
        'Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: Post '
        f'"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": {why}',
    )
    return ([SCALE, COMPONENT] if zero else [COMPONENT, RESTART]), [ROLL, MEM, POD, *([] if zero else [SCALE])]


def f49(w: World) -> Expect:
    w.add(
        "v1",
        "Namespace",
        w.meta(
            w.ns,
            None,
            90000,
            labels={"pod-security.kubernetes.io/enforce": "restricted", "kubernetes.io/metadata.name": w.ns},
        ),
        spec={"finalizers": ["kubernetes"]},
        status={"phase": "Active"},
    )
    blocked(
        w,
        'pods "app-7d4b9-x2x8z" is forbidden: violates PodSecurity "restricted:latest": '
        'allowPrivilegeEscalation != false (container "app" must '
        "set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities, runAsNonRoot "
        "!= true, seccompProfile",
    )
    return ["escalate"], [ROLL, RESTART, SCALE, POD]


def f51(w: World) -> Expect:
    found = (f01 if w.rng.random() < 0.5 else f02)(w)
    one = w.alerts[0]
    w.alerts = [one]
    pods = [
        o for o in w.objects if o["kind"] == "Pod" and o["status"].get("containerStatuses", [{}])[0].get("restartCount")
    ]
    for p in pods[:5]:
        w.alert(
            "KubePodCrashLooping",
            {"namespace": p["metadata"]["namespace"], "pod": p["metadata"]["name"], "container": "app"},
            3,
        )
    return found


def c_resolved(w: World) -> Expect:
    """The alert resolved itself."""
    (f01 if w.rng.random() < 0.5 else f02)(w)
    for a in w.alerts:
        a |= {"status": "resolved", "endsAt": w.at(0.5)}
    return ["no_action", "escalate"], [ROLL, MEM, RESTART, SCALE]


ROWS: dict[str, Row] = {
    "F05": f05,
    "F26": f26,
    "F28": f28,
    "F29": f29,
    "F31": f31,
    "F42": f42,
    "F45": f45,
    "F46": f46,
    "F48": f48,
    "F49": f49,
    "F51": f51,
    "c-cron": c_cron,
    "c-resolved": c_resolved,
}
