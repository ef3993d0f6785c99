"""A small frozen cluster for the tests of ingest: a Deployment with its pods, other workloads, nodes, an exporter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from akeso.ingest.frozen import FrozenCluster
from akeso.model.alert import Alert
from akeso.model.objects import Kind, Object, kind_named

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def make(
    kind: str,
    name: str,
    namespace: str = "shop",
    *,
    owner: Object | None = None,
    labels: dict[str, str] | None = None,
    **body: Any,
) -> dict[str, Any]:
    """A whole object with a uid made of its kind and name."""
    known = kind_named(kind)
    where = known or Kind("monitoring.coreos.com", "v1", kind, kind.lower() + "s")
    meta: dict[str, Any] = {"name": name, "uid": f"uid-{kind}-{name}", "labels": labels or {}}
    if where.namespaced:
        meta["namespace"] = namespace
    if owner is not None:
        meta["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    return {"apiVersion": where.api_version, "kind": kind, "metadata": meta, **body}


def workload(kind: str, name: str, **body: Any) -> dict[str, Any]:
    app = {"app": name}
    spec = {"selector": {"matchLabels": app}, "template": {"metadata": {"labels": app}, "spec": {}}, "replicas": 2}
    return make(kind, name, spec=spec, **body)


def ready(value: str) -> dict[str, Any]:
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": value}]}


checkout = workload("Deployment", "checkout")
checkout_rs = make("ReplicaSet", "checkout-5d8f7c9b4", owner=checkout, labels={"app": "checkout"})
checkout_pod = make(
    "Pod",
    "checkout-5d8f7c9b4-x2k7z",
    owner=checkout_rs,
    labels={"app": "checkout"},
    spec={"nodeName": "node-1", "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "cart"}}]},
    status={
        **ready("False"),
        "containerStatuses": [
            {
                "name": "app",
                "ready": False,
                "restartCount": 5,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            }
        ],
    },
)
db = workload("StatefulSet", "db")
db_pod = make("Pod", "db-0", owner=db, labels={"app": "db"}, spec={"nodeName": "node-2"}, status=ready("True"))
agent = workload("DaemonSet", "agent")
nightly = make("CronJob", "nightly")
job = make("Job", "nightly-29012345", owner=nightly, spec={"selector": {"matchLabels": {"job": "n"}}})
hpa = make(
    "HorizontalPodAutoscaler",
    "checkout",
    spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}},
)
claim = make("PersistentVolumeClaim", "cart")
nodes = [
    make("Node", f"node-{n}", status={"addresses": [{"type": "InternalIP", "address": f"10.0.0.{n}"}]}) for n in (1, 2)
]
ksm = workload("Deployment", "kube-state-metrics")
ksm_pod = make(
    "Pod",
    "ksm-7c5b8f9d4-p4q8w",
    "monitoring",
    labels={"app.kubernetes.io/name": "kube-state-metrics"},
    spec={"nodeName": "node-2"},
    status=ready("True"),
)
exporter_pod = make(
    "Pod",
    "node-exporter-k5v2n",
    "monitoring",
    labels={"app.kubernetes.io/name": "prometheus-node-exporter"},
    spec={"nodeName": "node-1"},
    status=ready("True"),
)
service = make("Service", "checkout", spec={"selector": {"app": "checkout"}})
endpoints = make("EndpointSlice", "checkout-abc", labels={"kubernetes.io/service-name": "checkout"})
budget = make("PodDisruptionBudget", "checkout", spec={"selector": {"matchLabels": {"app": "checkout"}}})
shop = make("Namespace", "shop")

EVERYTHING: list[Object] = [
    checkout,
    checkout_rs,
    checkout_pod,
    db,
    db_pod,
    agent,
    nightly,
    job,
    hpa,
    claim,
    *nodes,
    ksm_pod,
    exporter_pod,
    service,
    endpoints,
    budget,
    shop,
]


def cluster(*extra: Object, without: tuple[Object, ...] = (), **more: Any) -> FrozenCluster:
    return FrozenCluster([o for o in EVERYTHING if o not in without] + list(extra), **more)


def alert(name: str, **labels: str) -> Alert:
    return Alert("f1", "firing", {"alertname": name, **labels}, {}, NOW)
