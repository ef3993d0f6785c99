"""A world of one cluster for the adversary's scenarios, written as another author would: from what a real API server,
kubelet, scheduler, containerd and Prometheus say. Nothing here is shared with build.py or generate.py, on purpose.
"""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Raw = dict[str, Any]
NS = ("payments", "web-prod", "team-blue", "ml", "shop-eu", "orders", "default", "backend")
NAMES = (
    "gateway",
    "checkout-api",
    "invoice",
    "search",
    "frontend",
    "recommender",
    "ledger",
    "svc-auth",
    "mailer",
    "catalog-v2",
    "pricing",
    "thumbnailer",
)
HEX = "456789bcdf"
SAFE = "bcdfghjklmnpqrstvwxz2456789"


class World:
    """Objects, events, logs, series and alerts of one moment; every name and number drawn from one seeded source."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = datetime(
            2026,
            rng.randint(1, 12),
            rng.randint(1, 28),
            rng.randint(0, 23),
            rng.randint(0, 59),
            rng.randint(0, 59),
            tzinfo=UTC,
        )
        self.objects: list[Raw] = []
        self.events: list[Raw] = []
        self.logs: dict[str, str] = {}
        self.series: list[Raw] = []
        self.alerts: list[Raw] = []
        self.history: list[Raw] = []
        self.ns = rng.choice(NS)
        self.new_events = rng.random() < 0.35
        self.managed = rng.random() < 0.4
        self.exported = rng.random() < 0.3
        self.annotation_noise = rng.random() < 0.5
        self.receiver = "akeso"
        self._names = list(NAMES)
        rng.shuffle(self._names)

    # --- small things
    def name(self) -> str:
        return self._names.pop() if self._names else f"svc-{self.suffix(4)}"

    def at(self, minutes: float) -> str:
        """The API server's time, that many minutes ago."""
        return (self.now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def uid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def suffix(self, n: int = 5) -> str:
        return "".join(self.rng.choice(SAFE) for _ in range(n))

    def meta(self, name: str, ns: str | None, minutes: float, **more: Any) -> Raw:
        found: Raw = {
            "name": name,
            "uid": self.uid(),
            "resourceVersion": str(self.rng.randint(10**5, 10**9)),
            "creationTimestamp": self.at(minutes),
        }
        if ns:
            found["namespace"] = ns
        found |= {k: v for k, v in more.items() if v is not None}
        if self.managed:
            found["managedFields"] = [
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "v1",
                    "time": self.at(minutes / 2),
                    "fieldsType": "FieldsV1",
                    "subresource": "status",
                    "fieldsV1": {"f:status": {"f:conditions": {".": {}}}},
                }
            ]
        return found

    def add(self, api: str, kind: str, meta: Raw, **parts: Any) -> Raw:
        obj = {"apiVersion": api, "kind": kind, "metadata": meta, **parts}
        self.objects.append(obj)
        return obj

    def owner(self, obj: Raw) -> list[Raw]:
        return [
            {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "name": obj["metadata"]["name"],
                "uid": obj["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]

    def event(
        self, obj: Raw, reason: str, text: str, minutes: float = 2, kind: str = "Warning", count: int = 7
    ) -> None:
        m = obj["metadata"]
        about = {
            "kind": obj["kind"],
            "namespace": m.get("namespace", ""),
            "name": m["name"],
            "uid": m["uid"],
            "apiVersion": obj["apiVersion"],
            "resourceVersion": "99",
        }
        if not about["namespace"]:
            del about["namespace"]
        ns = m.get("namespace", "default")
        meta = self.meta(f"{m['name']}.{self.rng.getrandbits(60):x}", ns, minutes)
        if self.new_events:
            self.events.append(
                {
                    "apiVersion": "events.k8s.io/v1",
                    "kind": "Event",
                    "metadata": meta,
                    "regarding": about,
                    "reason": reason,
                    "note": text,
                    "type": kind,
                    "eventTime": self.at(minutes)[:-1] + ".123456Z",
                    "reportingController": "kubelet",
                    "reportingInstance": "n",
                    "action": "Binding",
                    "series": {"count": count, "lastObservedTime": self.at(minutes)[:-1] + ".000000Z"},
                }
            )
        else:
            self.events.append(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": meta,
                    "involvedObject": about,
                    "reason": reason,
                    "message": text,
                    "type": kind,
                    "count": count,
                    "eventTime": None,
                    "firstTimestamp": self.at(minutes + 20),
                    "lastTimestamp": self.at(minutes),
                    "source": {"component": "kubelet"},
                    "reportingComponent": "kubelet",
                    "reportingInstance": "",
                }
            )

    def metric(self, name: str, labels: Raw, points: Sequence[tuple[float, float]]) -> None:
        """points: (minutes ago, value)."""
        scrape = {"job": "kubelet", "instance": "10.0.0.4:10250", "endpoint": "https-metrics", "service": "kubelet"}
        base = self.now.timestamp()
        self.series.append(
            {
                "metric": {"__name__": name, **scrape, **labels},
                "values": [[round(base - 60 * m, 3), f"{v:g}" if v < 1e5 else str(int(v))] for m, v in points],
            }
        )

    # --- nodes
    def nodes(
        self,
        n: int | None = None,
        *,
        control_plane: bool = False,
        cpu: str = "4",
        memory: str = "16384Mi",
        pattern: str | None = None,
    ) -> list[Raw]:
        n = n or self.rng.randint(3, 6)
        pattern = pattern or self.rng.choice(
            ["ip-10-0-{i}-17.eu-west-1.compute.internal", "worker-{i}", "node{i:02d}", "gke-main-pool-a1b2-{i}"]
        )
        made = [self.node(pattern.format(i=i + 1), cpu=cpu, memory=memory) for i in range(n)]
        if control_plane:
            node = self.node("control-plane-1", cpu=cpu, memory=memory)
            node["spec"]["taints"] = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
            node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = ""
            made.append(node)
        return made

    def node(self, name: str, *, cpu: str, memory: str) -> Raw:
        room = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "95491281146", "hugepages-2Mi": "0"}
        kubelet = [
            ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ]
        beat = self.at(self.rng.uniform(0.2, 4))
        age = self.rng.randint(5000, 90000)
        node = self.add(
            "v1",
            "Node",
            self.meta(
                name,
                None,
                age,
                labels={
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": "amd64",
                    "topology.kubernetes.io/zone": self.rng.choice("abc"),
                },
                annotations={
                    "node.alpha.kubernetes.io/ttl": "0",
                    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                },
            ),
            spec={"podCIDR": "10.244.1.0/24", "providerID": f"aws:///eu-west-1a/i-{self.rng.getrandbits(40):x}"},
            status={
                "capacity": dict(room),
                "allocatable": dict(room),
                "addresses": [
                    {"type": "InternalIP", "address": f"10.0.{self.rng.randint(1, 250)}.{self.rng.randint(1, 250)}"},
                    {"type": "Hostname", "address": name},
                ],
                "conditions": [
                    {
                        "type": t,
                        "status": s,
                        "reason": r,
                        "message": m,
                        "lastHeartbeatTime": beat,
                        "lastTransitionTime": self.at(age - 1),
                    }
                    for t, s, r, m in kubelet
                ],
                "nodeInfo": {"kubeletVersion": "v1.33.2", "containerRuntimeVersion": "containerd://2.0.5"},
            },
        )
        self.add(
            "coordination.k8s.io/v1",
            "Lease",
            self.meta(name, "kube-node-lease", age),
            spec={"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": self.at(0.1)[:-1] + ".51Z"},
        )
        return node

    def node_down(self, node: Raw, minutes: float, *, unknown: bool = True) -> None:
        for c in node["status"]["conditions"]:
            if unknown:
                c |= {
                    "status": "Unknown",
                    "reason": "NodeStatusUnknown",
                    "message": "Kubelet stopped posting node status.",
                }
            elif c["type"] == "Ready":
                c |= {
                    "status": "False",
                    "reason": "KubeletNotReady",
                    "message": "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
                    "message:Network plugin returns error: cni plugin not initialized",
                }
            else:
                continue
            c |= {
                "lastTransitionTime": self.at(minutes),
                "lastHeartbeatTime": self.at(minutes + 0.7 if unknown else 0.3),
            }
        node["spec"]["taints"] = [
            {
                "key": "node.kubernetes.io/unreachable" if unknown else "node.kubernetes.io/not-ready",
                "effect": e,
                "timeAdded": self.at(minutes),
            }
            for e in ("NoSchedule", "NoExecute")
        ]
        if unknown:
            for o in self.objects:
                if o["kind"] == "Lease" and o["metadata"]["name"] == node["metadata"]["name"]:
                    o["spec"]["renewTime"] = self.at(minutes + 0.7)[:-1] + ".000000Z"
        self.event(
            node, "NodeNotReady", f"Node {node['metadata']['name']} status is now: NodeNotReady", minutes, "Normal", 1
        )

    # --- alerts
    def alert(
        self,
        name: str,
        labels: Raw,
        minutes: float,
        *,
        text: str = "",
        severity: str = "warning",
        status: str = "firing",
        ksm: bool = True,
    ) -> Raw:
        given = dict(labels)
        if ksm and self.exported:
            given = {
                (f"exported_{k}" if k in ("namespace", "pod", "container", "node") else k): v for k, v in labels.items()
            }
            given |= {
                "namespace": "monitoring",
                "pod": "kube-state-metrics-6d8f9c5b7d-x2x8z",
                "container": "kube-state-metrics",
                "service": "kube-state-metrics",
                "instance": "10.244.0.9:8080",
            }
        if ksm:
            given["job"] = "kube-state-metrics"
        one = {
            "status": status,
            "labels": {"alertname": name, "severity": severity, "prometheus": "monitoring/k8s", **given},
            "annotations": {
                "summary": text or self.words(name),
                "runbook_url": f"https://runbooks.example/{name.lower()}",
            },
            "startsAt": self.at(minutes)[:-1] + ".421Z",
            "fingerprint": f"{self.rng.getrandbits(64):016x}",
            "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else self.at(1),
            "generatorURL": "http://prom/graph?g0",
        }
        self.alerts.append(one)
        return one

    def words(self, name: str) -> str:
        return self.rng.choice(
            [
                f"{name} is firing",
                "Der Pod ist seit 15 Minuten nicht bereit.",
                "ポッドが再起動を繰り返しています",
                "Le conteneur redémarre en boucle.",
                "Pod 反复重启，请尽快处理",
                "Не хватает реплик",
                "El despliegue no alcanza las réplicas deseadas",
                "",
            ]
        )

    def payload(self) -> Raw:
        names = {a["labels"]["alertname"] for a in self.alerts}
        common = {
            k: v for k, v in self.alerts[0]["labels"].items() if all(a["labels"].get(k) == v for a in self.alerts)
        }
        return {
            "version": "4",
            "groupKey": '{}:{alertname="' + sorted(names)[0] + '"}',
            "truncatedAlerts": 0,
            "status": "firing" if any(a["status"] == "firing" for a in self.alerts) else "resolved",
            "receiver": "akeso",
            "groupLabels": {"alertname": self.alerts[0]["labels"]["alertname"]},
            "commonLabels": common,
            "commonAnnotations": {},
            "externalURL": "http://am:9093",
            "alerts": copy.deepcopy(self.alerts),
        }
