"""Why pods find no node: the scheduler's own count first, then the Node objects themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from akeso.decide.facts import podstate
from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.view import View, condition, fact, items, message_of, name_of, path_of, when
from akeso.decide.facts.workload import is_plan, planned_marker
from akeso.model.evidence import Fact
from akeso.model.objects import Object, dig, labels_of

_REASONS: Final = (
    ("cpu", r"insufficient cpu"),
    ("memory", r"insufficient memory"),
    ("pods", r"too many pods"),
    ("selector", r"didn't match pod's node affinity|node affinity/selector|didn't match node selector"),
    ("taint", r"untolerated taint|had taint|taint.{0,80}that the pod didn't tolerate|were unschedulable"),
    ("anti_affinity", r"anti-affinity|topology spread"),
    ("affinity", r"didn't match pod affinity rules"),
    (
        "volume",
        r"volume|persistentvolumeclaim",
    ),
)
_SCALE_UPS: Final = ("TriggeredScaleUp", "Nominated")  # Cluster Autoscaler's and Karpenter's
_STOPS: Final = ("NoSchedule", "NoExecute")


def facts(view: View) -> Iterator[Fact]:
    pending = [p for p in view.pods if podstate.is_unschedulable(p)]
    if not view.pods:
        return
    yield fact("pods_unschedulable", len(pending), "Pods .status.conditions[PodScheduled]")
    if not pending:
        return
    scaling = [e for e in view.events_about(*pending) if e.get("reason") in _SCALE_UPS and _fresh(view, e)]
    yield fact("scale_up_triggered", bool(scaling), "Events TriggeredScaleUp, Nominated")
    pod = pending[0]
    text = str(dig(condition(pod, "PodScheduled"), "message", default=""))
    if not text:
        text = " ".join(message_of(e) for e in view.events_about(pod) if e.get("reason") == "FailedScheduling")
    reasons = reasons_in(text)
    if reasons:
        yield fact("unschedulable_reasons", reasons, f"{path_of(pod)} .status.conditions[PodScheduled].message")
    if _every_node_seen(view, text):
        yield from _against_nodes(view, pod)


def _fresh(view: View, event: Object) -> bool:
    """Younger than the autoscaler's own patience with a new node."""
    for path in (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp")):
        if (seen := when(event, *path)) is not None:
            return (view.now - seen).total_seconds() < 900
    return True


def reasons_in(text: str) -> tuple[str, ...]:
    """The scheduler's reasons. What it says about preemption comes after and repeats them."""
    lowered = re.split(r"preemption:", text.lower())[0]
    found = [name for name, pattern in _REASONS if re.search(pattern, lowered)]
    return tuple(sorted(found)) if found or not lowered.strip() else ("other",)


def _every_node_seen(view: View, text: str) -> bool:
    """The snapshot holds as many nodes as the scheduler counted; of some nodes nothing can be said about every node."""
    counted = re.match(r"0/(\d{1,6}) nodes", text)
    return counted is not None and int(counted.group(1)) == len(view.snapshot.of_kind("Node"))


def _against_nodes(view: View, pod: Object) -> Iterator[Fact]:
    nodes = view.snapshot.of_kind("Node")
    rooms = [dig(n, "status", "allocatable") for n in nodes]
    if not nodes or not view.gathered("Node"):
        return
    asked = requests_of(pod)
    if all(rooms) and asked:
        tight = all(any((quantity(room.get(k)) or 0.0) < v for k, v in asked.items()) for room in rooms if room)
        yield fact(
            "requests_exceed_every_node",
            tight,
            f"{path_of(pod)} .spec.containers[].resources, Nodes .status.allocatable",
        )
    if not all(dig(n, "metadata", "labels") for n in nodes):
        return
    fits = [n for n in nodes if selected(pod, n)]
    yield fact(
        "selector_matches_no_node",
        not fits,
        f"{path_of(pod)} .spec.nodeSelector, .spec.affinity, Nodes .metadata.labels",
    )
    kept = [
        (n, t)
        for n in fits
        for t in items(n, "spec", "taints")
        if t.get("effect") in _STOPS and not tolerated(pod, t)
    ]
    if kept:
        names = tuple(sorted({f"{t.get('key')}={t.get('value') or ''}:{t.get('effect')}" for _, t in kept}))
        yield fact("untolerated_taints", names, "Nodes .spec.taints")
        planned = any(is_plan(str(t.get("key")), str(t.get("value") or "-")) or planned_marker(n) for n, t in kept)
        yield fact("taint_is_planned", planned, f"{path_of(kept[0][0])} .spec.taints, .metadata.annotations")


def requests_of(pod: Object) -> dict[str, float]:
    """cpu and memory that the scheduler must find: the sum over containers, at least the largest init container."""
    total: dict[str, float] = {}
    for container in items(pod, "spec", "containers"):
        for key in ("cpu", "memory"):
            value = quantity(dig(container, "resources", "requests", key))
            if value:
                total[key] = total.get(key, 0.0) + value
    for container in items(pod, "spec", "initContainers"):
        for key in ("cpu", "memory"):
            value = quantity(dig(container, "resources", "requests", key))
            if value:
                total[key] = max(total.get(key, 0.0), value)
    return total


def selected(pod: Object, node: Object) -> bool:
    """Whether nodeSelector and required node affinity let this pod onto that node."""
    have = labels_of(node)
    wanted: Mapping[str, str] = dig(pod, "spec", "nodeSelector", default={})
    if not wanted.items() <= have.items():
        return False
    terms = items(
        pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"
    )
    return not terms or any(_term(term, have, name_of(node)) for term in terms)


def _term(term: Object, have: Mapping[str, str], name: str) -> bool:
    rules = [(r, have) for r in items(term, "matchExpressions")]
    rules += [(r, {"metadata.name": name}) for r in items(term, "matchFields")]
    return all(_expression(rule, values) for rule, values in rules)


def _expression(rule: Any, have: Mapping[str, str]) -> bool:
    key, operator = str(rule.get("key")), rule.get("operator")
    wanted: Sequence[str] = rule.get("values") or ()
    value = have.get(key)
    match operator:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return key in have
        case "DoesNotExist":
            return key not in have
    return True  # Gt, Lt and what comes later: never claim that a node does not match


def tolerated(pod: Object, taint: Object) -> bool:
    for t in items(pod, "spec", "tolerations"):
        if t.get("effect") not in (None, "", taint.get("effect")):
            continue
        if t.get("operator") == "Exists" and t.get("key") in (None, "", taint.get("key")):
            return True
        if t.get("key") == taint.get("key") and (t.get("value") or "") == (taint.get("value") or ""):
            return True
    return False
