"""Other ways to write the same truth down: twists of a finished world that change nothing about what is right."""

from __future__ import annotations

from collections.abc import Callable

from tests.scenarios.adversary_apps import App, container, service, set_status, spec_of
from tests.scenarios.adversary_world import Raw, World

Twist = Callable[[World], None]


def subject(w: World) -> Raw | None:
    """The Deployment that the first alert is about, by its labels."""
    labels = w.alerts[0]["labels"]
    pod = labels.get("exported_pod") or labels.get("pod", "")
    name = labels.get("deployment", "")
    return next(
        (
            o
            for o in w.objects
            if o["kind"] == "Deployment"
            and (o["metadata"]["name"] == name or pod.startswith(o["metadata"]["name"] + "-"))
        ),
        None,
    )


def partial_conditions(w: World) -> None:
    for o in w.objects:
        if o["kind"] == "Pod" and "conditions" in o["status"]:
            o["status"]["conditions"] = [c for c in o["status"]["conditions"] if c["type"] in ("Ready", "PodScheduled")]


def kwok(w: World) -> None:
    """kwok's stages write little: no imageID, no qosClass, no startTime, one condition list for all."""
    for o in w.objects:
        if o["kind"] == "Pod":
            for key in ("qosClass", "startTime", "podIPs", "hostIP"):
                o["status"].pop(key, None)
            for s in o["status"].get("containerStatuses", []):
                s.pop("imageID", None)
                if s.get("lastState") == {}:
                    s.pop("lastState")
            o["spec"]["tolerations"] = [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}]
        if o["kind"] == "Node":
            o["metadata"]["annotations"]["kwok.x-k8s.io/node"] = "fake"


def other_labels(w: World) -> None:
    for a in w.alerts:
        labels = a["labels"]
        if "pod" in labels and "exported_pod" not in labels:
            labels[w.rng.choice(["pod_name", "kubernetes_pod_name"])] = labels.pop("pod")
            if w.rng.random() < 0.5:
                labels["container_name"] = labels.pop("container", "app")


def workload_labels(w: World) -> None:
    for a in w.alerts:
        labels = a["labels"]
        if "deployment" in labels:
            labels |= {"workload": labels.pop("deployment"), "workload_type": "deployment"}


def half_exported(w: World) -> None:
    """exported_pod beside a namespace that was relabelled back."""
    for a in w.alerts:
        if "pod" in a["labels"] and "exported_pod" not in a["labels"]:
            a["labels"] |= {"exported_pod": a["labels"]["pod"], "pod": "kube-state-metrics-6d8f9c5b7d-x2x8z"}


def watchdog_first(w: World) -> None:
    name = w.rng.choice(["Watchdog", "InfoInhibitor", "KubeAPIErrorBudgetBurn"])
    w.alert(name, {}, 9000, severity="none", ksm=False)
    w.alerts.insert(0, w.alerts.pop())


def gone_pod(w: World) -> None:
    """The alert's pod was replaced meanwhile; its name tells the ReplicaSet."""
    for a in w.alerts:
        for key in ("pod", "exported_pod"):
            name = a["labels"].get(key, "")
            if (
                name.count("-") >= 2
                and not name.startswith("kube-state")
                and any(o["kind"] == "ReplicaSet" and name.startswith(o["metadata"]["name"]) for o in w.objects)
            ):
                a["labels"][key] = name[:-5] + w.suffix()


def dying_pods(w: World) -> None:
    for o in [o for o in w.objects if o["kind"] == "Pod"][:3]:
        twin = {
            **o,
            "metadata": {
                **o["metadata"],
                "name": o["metadata"]["name"][:-5] + w.suffix(),
                "uid": w.uid(),
                "deletionTimestamp": w.at(1),
                "deletionGracePeriodSeconds": 30,
            },
        }
        w.objects.append(twin)


def acted_before(w: World) -> None:
    found = subject(w)
    if found is not None:
        m = found["metadata"]
        w.history.append(
            {
                "at": w.at(500),
                "workflow": "heal",
                "action": w.rng.choice(["restart_deployment", "scale_deployment"]),
                "target": {"kind": "Deployment", "namespace": m["namespace"], "name": m["name"]},
                "outcome": "Verified",
            }
        )


def chatty_annotations(w: World) -> None:
    for o in w.objects:
        if (
            o["kind"] in ("Deployment", "Namespace", "Node")
            and w.rng.random() < 0.7
            and o.get("spec", {}).get("replicas", 1)
        ):
            o["metadata"].setdefault("annotations", {})[
                w.rng.choice(["description", "team.example.com/contact", "example.com/docs"])
            ] = w.rng.choice(["owned by the payments team, see the wiki", "#team-blue", "https://wiki.example/x"])


def autoscaled(w: World) -> None:
    """The app has an idle HPA and a healthy budget; nothing follows from it."""
    found = subject(w)
    if found is None or not found["spec"]["replicas"] or any(o["kind"] == "HorizontalPodAutoscaler" for o in w.objects):
        return
    m = found["metadata"]
    w.add(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        w.meta(m["name"], m["namespace"], 9000),
        spec={
            "minReplicas": 1,
            "maxReplicas": 20,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": m["name"]},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
        status={
            "currentReplicas": found["spec"]["replicas"],
            "desiredReplicas": found["spec"]["replicas"],
            "conditions": [
                {
                    "type": "ScalingLimited",
                    "status": "False",
                    "reason": "DesiredWithinRange",
                    "lastTransitionTime": w.at(900),
                }
            ],
        },
    )


def other_trouble(w: World) -> None:
    """Somewhere else an old crash loop that nobody minds."""
    node = next((o for o in w.objects if o["kind"] == "Node"), None)
    other = App(w, spec_of(container()), replicas=1, ns="attic")
    pod = other.pod(node, minutes=30000)
    set_status(w, pod, "crash", 30000, exit_code=1, restarts=900)
    other.settle(progressing="ProgressDeadlineExceeded", since=29000)


def healthy_needs(w: World) -> None:
    """The app names a Service that is well."""
    found = subject(w)
    nodes = [o for o in w.objects if o["kind"] == "Node"]
    if found is None or not nodes:
        return
    cache = App(
        w, spec_of(container("redis", "redis:7")), replicas=1, name="redis-cache", ns=found["metadata"]["namespace"]
    )
    cache.fill(nodes[-1:], 1)
    cache.settle(progressing="NewReplicaSetAvailable", since=9000)
    service(w, "redis-cache", cache.labels, ns=cache.ns, port=6379, target=8080)
    uid = found["metadata"]["uid"]
    templates = [
        o["spec"]["template"]["spec"]
        for o in w.objects
        if o is found or any(r["uid"] == uid for r in o["metadata"].get("ownerReferences", []))
    ]
    for spec in templates:
        spec["containers"][0].setdefault("env", []).append({"name": "REDIS", "value": "redis-cache:6379"})


def bare_alert(w: World) -> None:
    for a in w.alerts:
        a["annotations"] = {}
        for key in ("generatorURL", "fingerprint", "endsAt"):
            a.pop(key, None)


def npd_nodes(w: World) -> None:
    for o in w.objects:
        if o["kind"] == "Node":
            o["status"]["conditions"] = [
                {"type": t, "status": "False", "reason": "No" + t, "message": "", "lastTransitionTime": w.at(9000)}
                for t in ("KernelDeadlock", "ReadonlyFilesystem")
            ] + o["status"]["conditions"]


TWISTS: tuple[Twist, ...] = (
    partial_conditions,
    kwok,
    other_labels,
    workload_labels,
    half_exported,
    watchdog_first,
    gone_pod,
    dying_pods,
    acted_before,
    chatty_annotations,
    autoscaled,
    other_trouble,
    healthy_needs,
    bare_alert,
    npd_nodes,
)
