"""Facts about nodes: readiness, leases, pressure and who causes it, and how many fail at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from akeso.decide.facts.metrics import last_by_pod
from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.view import (
    View,
    condition,
    condition_is,
    fact,
    items,
    name_of,
    namespace_of,
    notes_of,
    path_of,
    when,
)
from akeso.decide.facts.workload import plan_facts
from akeso.model.evidence import Fact
from akeso.model.names import CORDONED_BY, PROTECTED
from akeso.model.objects import Object, controller_of, dig, marked

_PRESSURES: Final = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_USAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "DiskPressure": (
        "container_fs_usage_bytes",
        "kubelet_container_log_filesystem_used_bytes",
        "pod_ephemeral_storage_usage_bytes",
        "ephemeral_storage_pod_usage",
    ),
    "MemoryPressure": ("container_memory_working_set_bytes",),
}


_ROOM: Final[Mapping[str, str]] = {"DiskPressure": "ephemeral-storage", "MemoryPressure": "memory"}


def facts(view: View) -> Iterator[Fact]:
    nodes = view.snapshot.of_kind("Node")
    yield from _all(view, nodes)
    node = view.target
    if node is None or node.get("kind") != "Node":
        return
    yield fact("subject", path_of(node), path_of(node))
    yield fact("protected", marked(node, PROTECTED), f"{path_of(node)} .metadata")
    yield from plan_facts((node,))
    yield from _one(view, node)
    yield from _others(node, nodes)
    yield from _culprit(view, node)


def not_ready(node: Object) -> bool:
    """Ready is not True; a node that says nothing counts as failing, for the brake must not miss it."""
    return condition_is(node, "Ready") is not True


def _all(view: View, nodes: list[Object]) -> Iterator[Fact]:
    if not nodes:
        return
    down = sum(1 for n in nodes if not_ready(n))
    alerting = {
        a.labels["node"]
        for a in view.snapshot.alerts
        if a.status == "firing" and a.labels.get("node") and "Node" in a.name
    }
    yield fact("nodes_total", len(nodes), "Nodes")
    yield fact("nodes_not_ready", down, "Nodes .status.conditions[Ready]")
    yield fact("nodes_not_ready_share", round(down / len(nodes), 4), "Nodes .status.conditions[Ready]")
    alerting_down = {n for n in alerting if any(name_of(o) == n and not_ready(o) for o in nodes)}
    unseen = {n for n in alerting if not any(name_of(o) == n for o in nodes)}
    mass = down / len(nodes) > 0.5 or len(alerting_down | unseen) / len(nodes) > 0.5
    if len(nodes) < 3 and (view.target is None or view.target.get("kind") != "Node"):
        return  # the nodes of a workload's few pods say nothing about the cluster
    yield fact("mass_node_failure", mass, "Nodes .status.conditions[Ready], alerts")


def _one(view: View, node: Object) -> Iterator[Fact]:
    where = path_of(node)
    yield fact("node", where, where)
    ready = condition_is(node, "Ready")
    if ready is not None:
        yield fact("node_ready", ready, f"{where} .status.conditions[Ready]")
        since = view.age(when(condition(node, "Ready"), "lastTransitionTime"))
        if since is not None:
            yield fact(
                "node_ready_seconds" if ready else "node_not_ready_seconds",
                since,
                f"{where} .status.conditions[Ready]",
            )
    lease = view.snapshot.find("Lease", name_of(node))
    beat = when(lease, "spec", "renewTime") or when(condition(node, "Ready"), "lastHeartbeatTime")
    age = view.age(beat)
    if age is not None:
        yield fact("node_lease_age_seconds", age, f"Lease/kube-node-lease/{name_of(node)} .spec.renewTime")
    if items(node, "status", "conditions"):
        yield fact(
            "node_pressure",
            tuple(p for p in _PRESSURES if condition_is(node, p) is True),
            f"{where} .status.conditions",
        )
    yield fact(
        "node_cordoned", dig(node, "spec", "unschedulable", default=False) is True, f"{where} .spec.unschedulable"
    )
    yield fact("node_cordoned_by_us", CORDONED_BY in notes_of(node), f"{where} .metadata.annotations")


def _others(node: Object, nodes: list[Object]) -> Iterator[Fact]:
    others = [n for n in nodes if name_of(n) != name_of(node)]
    left = [
        n for n in others if condition_is(n, "Ready") is True and not dig(n, "spec", "unschedulable", default=False)
    ]
    yield fact("nodes_left", len(left), "Nodes")
    ours = [n for n in others if CORDONED_BY in notes_of(n) and dig(n, "spec", "unschedulable", default=False)]
    yield fact("nodes_cordoned_by_us", len(ours), "Nodes .metadata.annotations")


def _culprit(view: View, node: Object) -> Iterator[Fact]:
    """The pod that uses at least half of what all pods of the node use, and twice as much as the next one."""
    pressed = [p for p in _USAGE if condition_is(node, p) is True]
    if len(pressed) != 1:
        return
    here = {
        (namespace_of(p), name_of(p)): p
        for p in view.snapshot.of_kind("Pod")
        if dig(p, "spec", "nodeName") == name_of(node)
    }
    usage: dict[tuple[str, str], float] = {}
    for metric in _USAGE[pressed[0]]:
        for key, value in last_by_pod(view.snapshot, metric).items():
            if key in here:
                usage[key] = usage.get(key, 0.0) + value
    ranked = sorted(usage, key=lambda k: (-usage[k], k))
    total = sum(usage.values())
    if not ranked or total <= 0:
        return
    top = ranked[0]
    if len(ranked) == 1:  # the others are not known: then it has to hold half of what the node has
        room = quantity(dig(node, "status", "capacity", _ROOM[pressed[0]]))
        share = usage[top] / room if room else 0.0
    else:
        share = usage[top] / total if usage[top] >= 2 * usage[ranked[1]] else 0.0
    if not 0.5 <= share <= 1 or not evictable(here[top]):
        return
    if pressed[0] == "MemoryPressure" and usage[top] <= _memory_request(here[top]):
        return
    source = f"{_USAGE[pressed[0]][0]} of the pods on {path_of(node)}"
    yield fact("pressure_culprit", path_of(here[top]), source)
    yield fact("pressure_culprit_share", round(share, 4), source)


def evictable(pod: Object) -> bool:
    """A pod that something creates anew elsewhere, and that nobody marked as needed where it is."""
    owner = controller_of(pod)
    return (
        owner is not None
        and owner.get("kind") not in ("DaemonSet", "Node")
        and not namespace_of(pod).startswith("kube-")
        and not marked(pod, PROTECTED)
        and not str(dig(pod, "spec", "priorityClassName", default="")).startswith("system-")
        and not dig(pod, "metadata", "deletionTimestamp")
    )


def _memory_request(pod: Object) -> float:
    return sum(quantity(dig(c, "resources", "requests", "memory")) or 0.0 for c in items(pod, "spec", "containers"))
