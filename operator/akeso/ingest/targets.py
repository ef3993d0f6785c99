"""From the labels of an alert to the object that can be remedied, through what the API server confirms.

Labels only say where to look; every step is confirmed by the API server (security.md B.2-4). Traps: alerts.md 4.1.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from akeso.ingest.gone import pod_that_is_gone
from akeso.ingest.nodes import find_node
from akeso.ingest.owners import FOLLOWED, Reads, climb, manager_of
from akeso.ingest.target_rows import GENERIC, Look, Row, row_for
from akeso.model.alert import Alert
from akeso.model.names import Reason
from akeso.model.objects import (
    CRONJOB,
    DAEMONSET,
    DEPLOYMENT,
    HPA,
    NODE,
    POD,
    REPLICASET,
    STATEFULSET,
    Kind,
    Object,
    ObjectRef,
    dig,
    kind_named,
    labels_of,
    ref_of,
)
from akeso.ports import ClusterReader

_OWNERS: Final = (Look(DEPLOYMENT, "deployment"), Look(STATEFULSET, "statefulset"), Look(DAEMONSET, "daemonset"))
FOUND: Final = "TargetFound"
EXPORTERS: Final = ("kube-state-metrics", "node-exporter", "prometheus-node-exporter")
OTHER_NAMES: Final = {
    "pod_name": "pod", "kubernetes_pod_name": "pod", "kubernetes_namespace": "namespace", "container_name": "container",
    "deployment_name": "deployment", "statefulset_name": "statefulset", "node_name": "node", "kubernetes_node": "node",
    "hpa": "horizontalpodautoscaler",
}
"""Labels of older kubelets, of relabelling and of service discovery, and the names that the rows know."""
_OWNER_LABELS: Final = ("deployment", "statefulset", "daemonset", "replicaset")
_TRAPPED: Final = ("namespace", "pod", "container", "node", "service", "instance", "job")


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an alert is about.

    target   the object to remedy: the top workload for a pod (Deployment, StatefulSet, DaemonSet, Job), the scaled
             workload for an autoscaler, otherwise the alert's own object; None with reason TargetNotFound
    chain    the alert's own object first, then upwards to its owners; every one verified by uid
    objects  the raw objects of the chain, in its order, as they were read
    managed_by  `Prometheus/k8s (monitoring.coreos.com/v1)` where a custom resource owns the top of the chain
    """

    target: ObjectRef | None
    chain: tuple[ObjectRef, ...]
    reason: str
    message: str
    objects: tuple[Object, ...] = ()
    managed_by: str = ""


async def resolve(alert: Alert, reader: ClusterReader) -> Resolution:
    """The target of an alert. Raises ClusterAway and Forbidden; whatever else is wrong is a reason."""
    reads = Reads(reader)
    real = real_labels(alert.labels)
    row = row_for(alert.name)
    tried: list[str] = []
    for look in _order(row, real):
        value = real.get(look.label, "")
        if not value:
            continue
        tried.append(f"{look.kind.kind} {_where(look.kind, real)}{value} (label {look.label})")
        found, remark = await _find(look, real, row, reads)
        if found is not None:
            return await _resolved(found, remark, reads)
        if remark:
            tried[-1] += f": {remark}"
    if not tried:
        why = "no label of the alert names an object that Akeso can look up"
    else:
        why = "the API server knows none of these: " + "; ".join(tried)
    return _nothing(why)


async def follow(ref: ObjectRef, reader: ClusterReader) -> Resolution:
    """The same for an object that is already known, read again. Another uid under that name is TargetNotFound."""
    reads = Reads(reader)
    obj = await reads.get(ref.kind, ref.namespace, ref.name)
    if obj is None:
        return _nothing(f"{ref} in {ref.namespace or 'the cluster'} does not exist any more")
    if ref.uid and dig(obj, "metadata", "uid") != ref.uid:
        return _nothing(f"{ref} was deleted and another one has its name now")
    return await _resolved(obj, "", reads)


def _nothing(why: str) -> Resolution:
    return Resolution(None, (), Reason.TARGET_NOT_FOUND, why[:2000])


def real_labels(given: Mapping[str, str]) -> Mapping[str, str]:
    """The labels that speak of the object, not of the exporter that was scraped.

    Prometheus keeps a clash as `exported_pod` (the object's) beside `pod` (the exporter's) unless honorLabels is set.
    Where anything was exported, every other scrape label without its own `exported_` twin is the exporter's.
    """
    exported = {name: given[f"exported_{name}"] for name in _TRAPPED if given.get(f"exported_{name}")}
    if not exported:
        return _renamed(given)
    mine = {k: v for k, v in given.items() if k not in ("namespace", "pod", "container", "service")}
    if "namespace" not in exported and given.get("namespace"):
        mine["namespace"] = given["namespace"]  # relabelled; the API server confirms the pair or knows neither
    return _renamed({**mine, **exported})


def _renamed(given: Mapping[str, str]) -> Mapping[str, str]:
    """With the label names of kube-state-metrics added where only an older or a mixin's name is there."""
    other = {name: given[key] for key, name in OTHER_NAMES.items() if given.get(key) and not given.get(name)}
    kind = given.get("workload_type", given.get("owner_kind", given.get("created_by_kind", ""))).lower()
    owner = given.get("workload", given.get("owner_name", given.get("created_by_name", "")))
    if kind in _OWNER_LABELS and owner and not given.get(kind):
        other[kind] = owner
    return {**other, **given} if other else given


def _order(row: Row, real: Mapping[str, str]) -> list[Look]:
    """The looks of the row, or the general ones where none of its labels is there.

    Metrics of containers carry their node too: there the pod goes before the node.
    """
    looks = list(row.looks)
    if not any(real.get(look.label) for look in looks):
        looks = list(GENERIC.looks)
    elif any(look.kind is POD for look in looks) and row is not GENERIC:
        looks += _OWNERS  # where the pod is gone, the alert may still name what made it
    about_containers = real.get("job", "") == "kubelet" or "kube-state-metrics" in real.get("job", "")
    if row is GENERIC and about_containers and real.get("container"):
        looks.sort(key=lambda look: look.kind is NODE)  # stable: only the node moves, to the end
    return looks


def _where(kind: Kind, real: Mapping[str, str]) -> str:
    return f"{real.get('namespace', '')}/" if kind.namespaced else ""


async def _find(look: Look, real: Mapping[str, str], row: Row, reads: Reads) -> tuple[Object | None, str]:
    """The object of that look and a remark about it."""
    value, namespace = real[look.label], real.get("namespace", "")
    if look.kind is NODE:
        return await find_node(look.label, value, namespace, reads), ""
    if look.kind is not POD:
        return await reads.get(look.kind, namespace, value), ""
    stem, _, _ = value.rpartition("-")
    await reads.ahead(
        (POD, namespace, value), (REPLICASET, namespace, stem), (DEPLOYMENT, namespace, stem.rpartition("-")[0]),
    )
    pod = await reads.get(POD, namespace, value)
    if pod is None:
        return await pod_that_is_gone(namespace, value, reads)
    if (row is GENERIC or row.exported) and _is_exporter(pod) and (row is GENERIC or _ready(pod)):
        return None, "that is the exporter's own pod, which these labels name by mistake"
    return pod, ""


def _is_exporter(pod: Object) -> bool:
    has = labels_of(pod)
    return (has.get("app.kubernetes.io/name") or has.get("app") or has.get("k8s-app") or "") in EXPORTERS


def _ready(pod: Object) -> bool:
    conditions = dig(pod, "status", "conditions", default=[])
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


async def _resolved(first: Object, remark: str, reads: Reads) -> Resolution:
    chain, early = await climb(first, reads)
    objects = list(chain)
    if first.get("kind") == HPA.kind:
        objects += await _scaled(first, reads)
    refs = tuple(ref_of(obj) for obj in objects)
    target = _top(refs)
    remarks = [text for text in (remark, early) if text]
    message = f"{target} in {target.namespace}" if target.namespace else str(target)
    message += f", from {refs[0]}" if refs[0] != target else ""
    return Resolution(target, refs, FOUND, "; ".join([message, *remarks]), tuple(objects), manager_of(chain[-1]))


def _top(refs: tuple[ObjectRef, ...]) -> ObjectRef:
    """The highest workload of the chain. A CronJob only makes Jobs: what failed, and is remedied, is the Job."""
    workloads = [ref for ref in refs if ref.kind in FOLLOWED and ref.kind is not CRONJOB]
    return workloads[-1] if workloads else refs[0]


async def _scaled(hpa: Object, reads: Reads) -> list[Object]:
    scaled = dig(hpa, "spec", "scaleTargetRef", default={})
    kind = kind_named(str(scaled.get("kind")), str(scaled.get("apiVersion", "")).rpartition("/")[0])
    if kind is None or kind not in FOLLOWED:
        return []
    obj = await reads.get(kind, str(dig(hpa, "metadata", "namespace", default="")), str(scaled.get("name", "")))
    return [] if obj is None else [obj]
