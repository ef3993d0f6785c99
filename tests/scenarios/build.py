# ruff: noqa: E501  tables of test data read better in long lines
"""Parts of frozen scenarios: whole objects as the API server returns them. `python -m tests.scenarios.generate` writes the files."""
from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from akeso.testing import builders as b

Raw = dict[str, Any]
NOW_TEXT = "2026-11-20T12:00:00Z"
NOW_UNIX = int(b.NOW.timestamp())


def container(name: str = "app", image: str = "web:1.4.2", *, memory: str = "256Mi", cpu: str = "100m", port: int = 8080,
              env: Mapping[str, str] | None = None, **more: Any) -> Raw:
    built = b.container(name, image=image, limits={"memory": memory, "cpu": "500m"},
                        requests={"memory": more.pop("request", "128Mi"), "cpu": cpu}, env=env)
    built |= {"ports": [{"containerPort": port, "name": "http", "protocol": "TCP"}], "terminationMessagePath": "/dev/termination-log",
              "terminationMessagePolicy": "File", **more}
    return built


def cluster(count: int = 3, *, down: Sequence[int] = (), minutes: float = 10) -> list[Raw]:
    """Nodes n1.. with their leases; those `down` stopped that long ago."""
    found: list[Raw] = []
    for i in range(1, count + 1):
        name = f"n{i}"
        node = b.node(name, ready=i not in down, minutes=minutes if i in down else 9000,
                      labels={"topology.kubernetes.io/zone": f"z{i}", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"})
        node["status"]["conditions"] += [
            b.condition(t, "False", f"KubeletHas{r}", minutes=9000)
            for t, r in (("MemoryPressure", "SufficientMemory"), ("DiskPressure", "NoDiskPressure"), ("PIDPressure", "SufficientPID"))
        ] if i not in down else []
        if i in down:
            node["spec"]["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": b.ago(minutes=minutes)}]
        lease = {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": b.metadata("Lease", "kube-node-lease", name),
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": b.ago(minutes=minutes + 1 if i in down else 0, seconds=4)},
        }
        found += [node, lease]
    return found


class App:
    """A Deployment with its ReplicaSets and pods."""

    def __init__(self, name: str = "checkout", *, replicas: int = 3, namespace: str = "shop", containers: Sequence[Raw] | None = None,
                 old: Sequence[Raw] | None = None, spec: Raw | None = None, old_spec: Raw | None = None, revision: int = 4,
                 rollout_minutes: float = 25, ready: int | None = None, available_since: float = 9000,
                 annotations: Mapping[str, str] | None = None, progressing: str = "", surge: int = 1) -> None:
        """`old` (containers) or `old_spec` (pod spec fields) make an earlier revision that serves `ready` pods."""
        self.name, self.replicas, self.has_old = name, replicas, old is not None or old_spec is not None
        self.ready = replicas if ready is None else ready
        rolling = self.has_old and progressing != "NewReplicaSetAvailable"
        conditions = [
            b.condition("Available", "True" if self.ready >= max(1, replicas - 1) else "False",
                        "MinimumReplicasAvailable" if self.ready >= max(1, replicas - 1) else "MinimumReplicasUnavailable", minutes=available_since),
            b.condition("Progressing", "False" if progressing == "ProgressDeadlineExceeded" else "True",
                        progressing or ("ReplicaSetUpdated" if rolling else "NewReplicaSetAvailable"), minutes=rollout_minutes),
        ]
        self.deployment = b.deployment(
            name, namespace=namespace, replicas=replicas, ready=self.ready, updated=surge if rolling else replicas, generation=revision + 2,
            revision=revision, containers=containers or [container()], conditions=conditions, annotations=annotations,
            strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
        self.deployment["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
                                                         "schedulerName": "default-scheduler", "securityContext": {}, **(spec or {})}
        if rolling:
            self.deployment["status"]["replicas"] = replicas + surge
        self.current = b.replicaset(self.deployment, replicas=surge if rolling else replicas, ready=0 if rolling else self.ready,
                                    minutes_old=rollout_minutes)
        self.previous: Raw | None = None
        if self.has_old or revision > 1:
            self.previous = b.replicaset(self.deployment, revision=revision - 1, replicas=replicas if rolling else 0,
                                         ready=self.ready if rolling else 0, minutes_old=9000)
            inner = self.previous["spec"]["template"]["spec"]
            inner["containers"] = copy.deepcopy(list(old or containers or [container()]))
            for key in (spec or {}):
                inner.pop(key, None)
            inner |= old_spec or {}
        self.pods: list[Raw] = []

    def new(self, count: int = 1, **how: Any) -> App:
        return self._add(self.current, count, how)

    def old(self, count: int | None = None, **how: Any) -> App:
        assert self.previous is not None
        return self._add(self.previous, self.replicas if count is None else count, {"minutes_old": 8000, **how})

    def _add(self, owner: Raw, count: int, how: Raw) -> App:
        for i in range(count):
            suffix = f"{'bcdfghjklmn'[(len(self.pods)) % 11]}{i}x7q"
            pod = b.pod(owner, suffix, **{"node": f"n{i % 3 + 1}", **how})
            pod["spec"] = {**copy.deepcopy(owner["spec"]["template"]["spec"]), **pod["spec"]}
            pod["status"]["podIP"] = f"10.0.{i}.{len(self.pods) + 4}"
            pod["status"]["conditions"] += [b.condition("PodScheduled", "True", minutes=how.get("minutes_old", 30))]
            self.pods.append(pod)
        return self

    def pending(self, message: str, count: int = 1) -> App:
        for _ in range(count):
            self._add(self.current, 1, {"ready": False, "phase": "Pending", "minutes_old": 20})
            pod = self.pods[-1]
            del pod["spec"]["nodeName"]
            pod["status"] = {"phase": "Pending", "qosClass": "Burstable", "conditions": [
                b.condition("PodScheduled", "False", "Unschedulable", minutes=20, message=message)]}
        return self

    @property
    def objects(self) -> list[Raw]:
        return [o for o in (self.deployment, self.current, self.previous) if o is not None] + self.pods


def event(about: Mapping[str, Any], reason: str, message: str, *, type_: str = "Warning", minutes: float = 2, count: int = 6) -> Raw:
    meta = about["metadata"]
    name = f"{meta['name']}.{reason.lower()}"
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": b.metadata("Event", meta.get("namespace", "default"), name, minutes_old=20),
        "involvedObject": {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": meta["name"],
                           "namespace": meta.get("namespace", ""), "uid": meta["uid"]},
        "reason": reason, "message": message, "type": type_, "count": count,
        "firstTimestamp": b.ago(minutes=20), "lastTimestamp": b.ago(minutes=minutes), "source": {"component": "kubelet"},
    }


def alert(name: str, labels: Mapping[str, str], *, annotations: Mapping[str, str] | None = None, minutes: float = 5,
          severity: str = "warning") -> Raw:
    print_ = _fingerprint(name, labels)
    return {
        "status": "firing", "labels": {"alertname": name, "severity": severity, "prometheus": "monitoring/k8s", **labels},
        "annotations": {"summary": f"{name} fired.", "description": f"{name}: {dict(labels)}", **(annotations or {})},
        "startsAt": b.ago(minutes=minutes), "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus-k8s:9090/graph?g0.expr=up", "fingerprint": print_,
    }


def _fingerprint(name: str, labels: Mapping[str, str]) -> str:
    import hashlib
    return hashlib.sha256(f"{name}{sorted(labels.items())}".encode()).hexdigest()[:16]


def payload(*alerts: Raw) -> Raw:
    return {"version": "4", "groupKey": '{}:{namespace="shop"}', "truncatedAlerts": 0, "status": "firing", "receiver": "akeso",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager-main:9093", "alerts": list(alerts)}


def series(metric: str, values: Sequence[float], *, step: int = 300, **labels: str) -> Raw:
    start = NOW_UNIX - step * (len(values) - 1)
    return {"metric": {"__name__": metric, **labels}, "values": [[start + i * step, f"{v:.6g}"] for i, v in enumerate(values)]}


def service(name: str, *, namespace: str = "shop", selector: str = "", port: int = 80, target: int | str = 8080) -> Raw:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": b.metadata("Service", namespace, name, labels={"app": name}),
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.12.7", "selector": {"app": selector or name},
                 "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": target}]}, "status": {"loadBalancer": {}},
    }


def scenario(id_: str, title: str, alerts: Sequence[Raw], objects: Sequence[Raw], *, right: Sequence[str], harmful: Sequence[str],
             events: Sequence[Raw] = (), logs: Mapping[str, str] | None = None, metrics: Sequence[Raw] = (), **more: Any) -> Raw:
    return {"id": id_, "title": title, "now": NOW_TEXT, "alert": payload(*alerts), "objects": list(objects), "events": list(events),
            "logs": dict(logs or {}), "series": list(metrics), **more, "expect": {"right": list(right), "harmful": list(harmful)}}
