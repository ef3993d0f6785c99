"""Which series are evidence for which target: standard names, equality selectors only, live and frozen alike."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from akeso.model.objects import Object, dig

Wanted = tuple[str, Mapping[str, str]]
"""A metric and the labels that its series must carry."""

PODS: Final = 5          # pods whose metrics are read: the alert's own and the worst
MINUTES: Final = 75       # a leak is judged over a whole hour of samples

POD_METRICS: Final = (
    "container_memory_working_set_bytes", "container_cpu_usage_seconds_total", "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total", "kube_pod_container_status_restarts_total",
    "http_requests_total", "http_client_retries_total",  # the usual names of client libraries; absent ones cost nothing
)
CLAIM_METRICS: Final = (
    "kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes", "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_inodes_used", "kubelet_volume_stats_inodes",
)
AUTOSCALER_METRICS: Final = (
    "kube_horizontalpodautoscaler_status_current_replicas", "kube_horizontalpodautoscaler_status_desired_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
)
PRESSURE_METRICS: Final[Mapping[str, Sequence[str]]] = {
    "MemoryPressure": ("container_memory_working_set_bytes",),
    "DiskPressure": ("container_fs_usage_bytes", "kubelet_container_log_filesystem_used_bytes"),
}
"""Of all pods of a node under that pressure, by the label `node` that kube-prometheus gives the kubelet's series."""
NODE_METRICS: Final = ("kube_node_status_condition",)
NODE_EXPORTER_METRICS: Final = (
    "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes", "node_filesystem_files_free", "node_load1",
)


def wanted_series(
    target: Object, pods: Sequence[Object], claims: Iterable[Object], autoscalers: Iterable[Object], instance: str,
) -> list[Wanted]:
    """What to ask for. `pods` come worst first; `instance` is the label under which node-exporter knows a node."""
    wanted: list[Wanted] = []
    about_node = target.get("kind") == "Node"
    for pod in () if about_node else pods[:PODS]:
        wanted += [(metric, _named(pod, "pod")) for metric in POD_METRICS]
    for claim in list(claims)[:PODS]:
        wanted += [(metric, _named(claim, "persistentvolumeclaim")) for metric in CLAIM_METRICS]
    for autoscaler in autoscalers:
        wanted += [(metric, _named(autoscaler, "horizontalpodautoscaler")) for metric in AUTOSCALER_METRICS]
    if target.get("kind") == "Deployment":
        wanted.append(("kube_deployment_status_replicas_available", _named(target, "deployment")))
    if about_node:
        wanted += [(metric, {"node": _name(target)}) for metric in (*NODE_METRICS, *_pressed(target))]
        if instance:
            wanted += [(metric, {"instance": instance}) for metric in NODE_EXPORTER_METRICS]
    return wanted


def _pressed(node: Object) -> list[str]:
    now = {c.get("type") for c in dig(node, "status", "conditions", default=[]) if c.get("status") == "True"}
    return [metric for pressure, metrics in PRESSURE_METRICS.items() if pressure in now for metric in metrics]


def _name(obj: Object) -> str:
    return str(dig(obj, "metadata", "name", default=""))


def _named(obj: Object, label: str) -> Mapping[str, str]:
    return {"namespace": str(dig(obj, "metadata", "namespace", default="")), label: _name(obj)}
