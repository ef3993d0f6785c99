"""Workloads of the adversary's world: Deployments with revisions, pods as the kubelet reports them, StatefulSets,
noise."""

from __future__ import annotations

import copy
from typing import Any

from tests.scenarios.adversary_world import HEX, Raw, World


def container(
    name: str = "app",
    image: str = "registry.example/app:1.8.0",
    *,
    memory: str | None = "256Mi",
    cpu: str = "500m",
    **more: Any,
) -> Raw:
    limits = {"cpu": cpu} | ({"memory": memory} if memory else {})
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": limits, "requests": {"cpu": "100m", "memory": "64Mi"}},
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        **more,
    }


def spec_of(*containers: Raw, **more: Any) -> Raw:
    return {
        "containers": list(containers),
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        **more,
    }


class App:
    """A Deployment with its ReplicaSets (newest last) and pods."""

    def __init__(
        self,
        w: World,
        spec: Raw,
        *,
        replicas: int = 3,
        age: float = 40000,
        name: str = "",
        ns: str = "",
        labels: Raw | None = None,
    ) -> None:
        self.w, self.name, self.ns, self.age = w, name or w.name(), ns or w.ns, age
        self.labels = labels or w.rng.choice(
            [{"app": self.name}, {"app.kubernetes.io/name": self.name, "app.kubernetes.io/instance": "prod"}]
        )
        self.revision = w.rng.choice([1, 4, 11, 37])
        notes = {"deployment.kubernetes.io/revision": str(self.revision)}
        if w.annotation_noise:
            notes |= {
                "meta.helm.sh/release-name": self.name,
                "kubectl.kubernetes.io/last-applied-configuration": "{}\n",
                "reloader.stakater.com/auto": "true",
            }
        self.obj = w.add(
            "apps/v1",
            "Deployment",
            w.meta(self.name, self.ns, age, labels=dict(self.labels), annotations=notes, generation=self.revision + 2),
            spec={
                "replicas": replicas,
                "selector": {"matchLabels": dict(self.labels)},
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "template": self._template(spec),
            },
            status={},
        )
        self.sets: list[Raw] = []
        self.pods: list[Raw] = []
        self._set(age, replicas)

    def _template(self, spec: Raw, **labels: str) -> Raw:
        return {
            "metadata": {"creationTimestamp": None, "labels": {**self.labels, **labels}},
            "spec": copy.deepcopy(spec),
        }

    def _set(self, minutes: float, replicas: int) -> Raw:
        w = self.w
        hashed = "".join(w.rng.choice(HEX) for _ in range(w.rng.choice([9, 10])))
        spec = self.obj["spec"]["template"]["spec"]
        rs = w.add(
            "apps/v1",
            "ReplicaSet",
            w.meta(
                f"{self.name}-{hashed}",
                self.ns,
                minutes,
                ownerReferences=w.owner(self.obj),
                generation=1,
                labels={**self.labels, "pod-template-hash": hashed},
                annotations={
                    "deployment.kubernetes.io/revision": str(self.revision),
                    "deployment.kubernetes.io/desired-replicas": str(self.obj["spec"]["replicas"]),
                    "deployment.kubernetes.io/max-replicas": str(self.obj["spec"]["replicas"] + 1),
                },
            ),
            spec={
                "replicas": replicas,
                "selector": {"matchLabels": {**self.labels, "pod-template-hash": hashed}},
                "template": self._template(spec, **{"pod-template-hash": hashed}),
            },
            status={"replicas": replicas, "fullyLabeledReplicas": replicas, "observedGeneration": 1},
        )
        self.sets.append(rs)
        return rs

    def roll(self, spec: Raw, minutes: float, *, surge: int = 1, keep: int | None = None) -> Raw:
        """A new revision: `surge` new pods wanted, `keep` old ones still there (default all)."""
        self.revision += 1
        replicas = self.obj["spec"]["replicas"]
        old = self.sets[-1]
        old["spec"]["replicas"] = replicas if keep is None else keep
        self.obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(self.revision)
        self.obj["metadata"]["generation"] += 1
        self.obj["spec"]["template"] = self._template(spec)
        return self._set(minutes, surge)

    def pod(
        self, node: Raw | None, state: str = "ready", *, rs: Raw | None = None, minutes: float = 30, **how: Any
    ) -> Raw:
        rs = rs or self.sets[-1]
        w = self.w
        template = rs["spec"]["template"]
        pod = w.add(
            "v1",
            "Pod",
            w.meta(
                f"{rs['metadata']['name']}-{w.suffix()}",
                self.ns,
                minutes,
                generateName=rs["metadata"]["name"] + "-",
                labels=dict(template["metadata"]["labels"]),
                ownerReferences=w.owner(rs),
            ),
            spec=copy.deepcopy(template["spec"])
            | {
                "serviceAccountName": "default",
                "enableServiceLinks": True,
                "preemptionPolicy": "PreemptLowerPriority",
                "priority": 0,
            },
        )
        if node is not None:
            pod["spec"]["nodeName"] = node["metadata"]["name"]
        set_status(w, pod, state, minutes, **how)
        self.pods.append(pod)
        return pod

    def fill(
        self,
        nodes: list[Raw],
        n: int,
        *,
        rs: Raw | None = None,
        minutes: float = 20000,
        state: str = "ready",
        **how: Any,
    ) -> list[Raw]:
        return [self.pod(nodes[i % len(nodes)], state, rs=rs, minutes=minutes + i, **how) for i in range(n)]

    def settle(
        self, *, available_since: float | None = None, progressing: str = "ReplicaSetUpdated", since: float = 10
    ) -> None:
        """Status of the Deployment and its ReplicaSets from the pods that are there."""
        w, want = self.w, self.obj["spec"]["replicas"]

        def ready(rs: Raw | None) -> int:
            return sum(1 for p in self.pods if is_ready(p) and (rs is None or _of(p, rs)))

        for rs in self.sets:
            n = ready(rs)
            if n:
                rs["status"] |= {"readyReplicas": n, "availableReplicas": n}
            rs["status"]["replicas"] = rs["status"]["fullyLabeledReplicas"] = sum(1 for p in self.pods if _of(p, rs))
        total, new = ready(None), [p for p in self.pods if _of(p, self.sets[-1])]
        up = total >= want - want // 4 and want > 0
        now: Raw = {
            "observedGeneration": self.obj["metadata"]["generation"],
            "replicas": len(self.pods),
            "updatedReplicas": len(new),
            "readyReplicas": total,
            "availableReplicas": total,
            "unavailableReplicas": max(0, want - total),
        }
        if progressing == "ProgressDeadlineExceeded":
            text = f'ReplicaSet "{self.sets[-1]["metadata"]["name"]}" has timed out progressing.'
        else:
            text = f'ReplicaSet "{self.sets[-1]["metadata"]["name"]}" is progressing.'
        moved = available_since if available_since is not None else self.age if up else since
        conditions = [
            {
                "type": "Available",
                "status": "True" if up else "False",
                "reason": "MinimumReplicasAvailable" if up else "MinimumReplicasUnavailable",
                "message": "Deployment has minimum availability."
                if up
                else "Deployment does not have minimum availability.",
                "lastUpdateTime": w.at(moved),
                "lastTransitionTime": w.at(moved),
            },
            {
                "type": "Progressing",
                "status": "False" if progressing == "ProgressDeadlineExceeded" else "True",
                "reason": progressing,
                "message": text,
                "lastUpdateTime": w.at(since),
                "lastTransitionTime": w.at(since),
            },
        ]
        self.obj["status"] = {k: v for k, v in now.items() if v or k == "observedGeneration"} | {
            "conditions": conditions
        }


def _of(pod: Raw, rs: Raw) -> bool:
    return bool(pod["metadata"]["ownerReferences"][0]["uid"] == rs["metadata"]["uid"])


def is_ready(pod: Raw) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def set_status(
    w: World,
    pod: Raw,
    state: str,
    minutes: float,
    *,
    exit_code: int = 1,
    reason: str = "Error",
    restarts: int = 6,
    waiting: str = "CrashLoopBackOff",
    text: str = "",
    last: float = 2,
    bad: int = 0,
    since: float | None = None,
) -> None:
    """state: ready, crash, waiting, unready, pending, creating. `bad` is the index of the container that fails."""
    made = w.at(minutes)
    names = [c["name"] for c in pod["spec"]["containers"]]
    ok = state == "ready"
    if state == "pending":
        pod["status"] = {
            "phase": "Pending",
            "qosClass": "Burstable",
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": text,
                    "lastProbeTime": None,
                    "lastTransitionTime": made,
                }
            ],
        }
        w.event(pod, "FailedScheduling", text, 1)
        return
    moved = w.at(since if since is not None else max(0.1, minutes - 0.3))
    conditions = [
        {
            "type": t,
            "status": s,
            "lastProbeTime": None,
            "lastTransitionTime": moved if t.endswith("Ready") else made,
            **(
                {}
                if s == "True"
                else {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names[bad]}]"}
            ),
        }
        for t, s in (
            ("PodReadyToStartContainers", "True"),
            ("Initialized", "True"),
            ("Ready", str(ok)),
            ("ContainersReady", str(ok)),
            ("PodScheduled", "True"),
        )
    ]
    statuses = [
        _container_status(
            w, c, i == bad and not ok, state, minutes, exit_code, reason, restarts, waiting, text, last, pod
        )
        for i, c in enumerate(pod["spec"]["containers"])
    ]
    pod["status"] = {
        "phase": "Pending" if state in ("waiting", "creating") else "Running",
        "conditions": conditions,
        "containerStatuses": statuses,
        "hostIP": "10.0.0.4",
        "podIP": "10.244.3.9",
        "qosClass": "Burstable",
        "podIPs": [{"ip": "10.244.3.9"}],
        "startTime": made,
    }


def _container_status(
    w: World,
    c: Raw,
    fails: bool,
    state: str,
    minutes: float,
    exit_code: int,
    reason: str,
    restarts: int,
    waiting: str,
    text: str,
    last: float,
    pod: Raw,
) -> Raw:
    status: Raw = {
        "name": c["name"],
        "image": c["image"],
        "imageID": "",
        "ready": not fails,
        "restartCount": 0,
        "started": not fails,
        "lastState": {},
        "state": {"running": {"startedAt": w.at(minutes)}},
    }
    if not fails or state == "unready":
        if state == "unready" and fails:
            status |= {"restartCount": 0, "started": True}
        return status
    if state == "creating":
        return status | {"state": {"waiting": {"reason": "ContainerCreating"}}, "started": False}
    if state == "waiting":
        return status | {"state": {"waiting": {"reason": waiting, "message": text}}}
    ended = {
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": w.at(last + 0.5),
        "finishedAt": w.at(last),
        "containerID": f"containerd://{w.rng.getrandbits(128):032x}",
    }
    wait = {
        "waiting": {
            "reason": waiting,
            "message": f"back-off 5m0s restarting failed container={c['name']} "
            f"pod={pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})",
        }
    }
    form = w.rng.random()
    status |= {"restartCount": restarts, "lastState": {"terminated": ended}, "state": wait}
    if form < 0.2:  # seen between two starts
        status |= (
            {"state": {"terminated": ended}, "lastState": {}} if restarts == 0 else {"state": {"terminated": ended}}
        )
    w.event(
        pod,
        "BackOff",
        f"Back-off restarting failed container {c['name']} in pod "
        f"{pod['metadata']['name']}_{pod['metadata']['namespace']}",
        1,
    )
    return status


def statefulset(
    w: World, spec: Raw, *, name: str, replicas: int = 1, age: float = 60000, ns: str = ""
) -> tuple[Raw, list[Raw]]:
    """A StatefulSet of ready pods and these pods; its status says so."""
    ns = ns or w.ns
    rev = f"{name}-{''.join(w.rng.choice(HEX) for _ in range(10))}"
    sts = w.add(
        "apps/v1",
        "StatefulSet",
        w.meta(name, ns, age, labels={"app": name}, generation=1),
        spec={
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
        status={
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": replicas,
            "currentReplicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": replicas,
            "currentRevision": rev,
            "updateRevision": rev,
        },
    )
    pods = []
    for i in range(replicas):
        pod = w.add(
            "v1",
            "Pod",
            w.meta(
                f"{name}-{i}",
                ns,
                age - 1,
                ownerReferences=w.owner(sts),
                labels={
                    "app": name,
                    "controller-revision-hash": rev,
                    "statefulset.kubernetes.io/pod-name": f"{name}-{i}",
                    "apps.kubernetes.io/pod-index": str(i),
                },
            ),
            spec=copy.deepcopy(spec) | {"hostname": f"{name}-{i}"},
        )
        set_status(w, pod, "ready", age - 1)
        pods.append(pod)
    return sts, pods


def service(w: World, name: str, selector: Raw, *, ns: str = "", port: int = 80, target: Any = 8080) -> Raw:
    return w.add(
        "v1",
        "Service",
        w.meta(name, ns or w.ns, 40000),
        spec={
            "type": "ClusterIP",
            "clusterIP": "10.96.3.7",
            "selector": selector,
            "ports": [{"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}],
        },
        status={"loadBalancer": {}},
    )


def noise(w: World, nodes: list[Raw]) -> None:
    """What stands around in any cluster and has nothing to do with the fault."""
    r = w.rng
    for _ in range(r.randint(0, 3)):
        other = App(w, spec_of(container()), replicas=r.randint(1, 3))
        other.fill(nodes, other.obj["spec"]["replicas"])
        other.settle(progressing="NewReplicaSetAvailable", since=30000)
        if r.random() < 0.5:
            service(w, other.name, other.labels)
    extra: list[tuple[str, str, str | None, Raw]] = [
        ("v1", "ConfigMap", w.ns, {"data": {"a": "b"}}),
        ("v1", "Namespace", None, {"status": {"phase": "Active"}, "spec": {}}),
        ("v1", "Secret", w.ns, {"type": "Opaque", "data": {"k": "eA=="}}),
        (
            "policy/v1",
            "PodDisruptionBudget",
            w.ns,
            {
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "zz"}}},
                "status": {"disruptionsAllowed": 0},
            },
        ),
        ("storage.k8s.io/v1", "StorageClass", None, {"provisioner": "ebs.csi.aws.com", "allowVolumeExpansion": True}),
        ("batch/v1", "CronJob", w.ns, {"spec": {"schedule": "0 3 * * *", "suspend": False}, "status": {}}),
        ("v1", "ServiceAccount", w.ns, {}),
        ("networking.k8s.io/v1", "NetworkPolicy", w.ns, {"spec": {"podSelector": {}}}),
    ]
    for api, kind, ns, body in extra:
        if r.random() < 0.4:
            name = w.ns if kind == "Namespace" else f"{kind.lower()}-{r.randint(1, 99)}"
            w.add(api, kind, w.meta(name, ns, 50000), **copy.deepcopy(body))
