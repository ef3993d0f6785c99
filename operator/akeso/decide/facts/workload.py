"""Facts about the workload itself: replicas, consent, plans, what keeps its pods from being created."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from akeso.decide.facts import podstate
from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.view import View, condition, fact, message_of, namespace_of, notes_of, path_of
from akeso.model.evidence import Fact
from akeso.model.names import PAUSED, PROTECTED
from akeso.model.objects import Object, controller_of, dig, labels_of, marked

BUILT_IN_OWNERS: Final = frozenset({"ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Node"})

_PLAN: Final = re.compile(
    r"planned|scheduled|mainten|change[-_ ./]?(ticket|request|id|window|number|record|marker)|\bchg[-_ ]?\d+|"
    r"scale[-_]?down|scaled[-_]down|"
    r"downscal|downtime|decommission|hibernat|freeze|retire|geplant|wartung|prévu|entretien|planificad|mantenimiento|planejad|"
    r"manuten|pianificat|manutenzione|gepland|onderhoud|plánovan|údržb|planowan|konserwac|планов|обслужив|計画|メンテナンス|"
    r"保守|维护|維護|计划|점검|계획",
    re.IGNORECASE,
)
_MACHINE: Final = re.compile(
    r"(^|\.)(k8s|kubernetes|istio|argoproj|fluxcd|prometheus|stakater|gke|cattle|linkerd|openshift|cilium|grafana|datadoghq|"
    r"cert-manager|crossplane|vault\.hashicorp|rancher|keel|tilt|skaffold)\.(io|com|dev)$|(^|\.)(helm\.sh|akeso\.dev|"
    r"amazonaws\.com|azure\.com|googleapis\.com|google\.com)$")
"""Domains of the annotations that tools write: they tell of no plan."""
_MECHANICAL: Final = re.compile(
    r"(?i)true|false|yes|no|enabled|disabled|none|[\d.]*|[{\[].*[}\]]|[\w.-]+:\d+|https?://\S+", re.S)
_NO: Final = frozenset({"false", "no", "none", "0", ""})
_NOT_PLAN_KEYS: Final = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/")
_UNPLANNED: Final = re.compile(
    r"unplanned|ungeplant|not planned|no maintenance|autoscaler|scale-?down-(disabled|delay)", re.IGNORECASE)


def facts(view: View) -> Iterator[Fact]:
    workload = view.workload
    if workload is None:
        return
    yield fact("subject", path_of(workload), path_of(workload))
    yield fact("workload_kind", str(workload.get("kind")), path_of(workload))
    yield from _consent(view, workload)
    yield from _replicas(view, workload)
    yield from _creation(view, workload)
    yield from _budget(view)


def namespace_object(view: View) -> Object | None:
    return view.snapshot.find("Namespace", view.namespace) if view.namespace else None


def _consent(view: View, workload: Object) -> Iterator[Fact]:
    where = f"{path_of(workload)} .metadata"
    around = (workload, namespace_object(view), *view.pods[:50])
    yield fact("protected", any(marked(o, PROTECTED) for o in around), where)
    yield fact("paused", any(marked(o, PAUSED) for o in around), where)
    yield fact("system_namespace", view.namespace.startswith("kube-"), f"{where}.namespace")
    owner = controller_of(workload)
    yield fact(
        "operator_owned", owner is not None and owner.get("kind") not in BUILT_IN_OWNERS, f"{where}.ownerReferences"
    )
    yield fact("being_deleted", bool(dig(workload, "metadata", "deletionTimestamp")), where)
    yield from plan_facts((workload, namespace_object(view)))


def plan_facts(objects: tuple[Object | None, ...]) -> Iterator[Fact]:
    """planned_change and planned_marker, from the annotations and labels of these objects."""
    found = [(o, key) for o in objects if o is not None if (key := planned_marker(o))]
    if found or not any(human_note(o) for o in objects):
        yield fact("planned_change", bool(found), ".metadata.annotations")
    if found:
        obj, key = found[0]
        yield fact("planned_marker", key, f"{path_of(obj)} .metadata.annotations")


def planned_marker(obj: Object | None) -> str | None:
    """The key of an annotation or label that tells of a planned change; None where there is none."""
    marks: Mapping[str, Any] = {**labels_of(obj), **notes_of(obj)}
    return next((key for key, value in sorted(marks.items()) if is_plan(key, str(value))), None)


def human_note(obj: Object | None) -> bool:
    """An annotation that a person seems to have left. What it says is not understood, so a plan cannot be ruled out."""
    return any(
        not _MACHINE.search(key.rpartition("/")[0]) and not _MECHANICAL.fullmatch(str(value).strip())
        for key, value in notes_of(obj).items()
    ) or bool(notes_of(obj).get("kubernetes.io/change-cause"))


def is_plan(key: str, value: str) -> bool:
    if key.startswith(_NOT_PLAN_KEYS) or value.strip().lower() in _NO or _UNPLANNED.search(f"{key} {value}"):
        return False
    return bool(_PLAN.search(key) or _PLAN.search(value[:500]))


def _replicas(view: View, workload: Object) -> Iterator[Fact]:
    kind = workload.get("kind")
    where = path_of(workload)
    if kind in ("Deployment", "StatefulSet"):
        desired = dig(workload, "spec", "replicas", default=1)
        if isinstance(desired, int):
            yield fact("desired_replicas", desired, f"{where} .spec.replicas")
            yield fact("scaled_to_zero", desired == 0, f"{where} .spec.replicas")
        if dig(workload, "status") is not None:
            yield fact("ready_replicas", int(dig(workload, "status", "readyReplicas", default=0)), f"{where} .status")
        yield fact("rollout_paused", dig(workload, "spec", "paused", default=False) is True, f"{where} .spec.paused")
    healthy = _healthy(view, workload)
    if healthy is not None:
        yield fact("healthy", healthy, f"{where} .status")


def _healthy(view: View, workload: Object) -> bool | None:
    if workload.get("kind") not in ("Deployment", "StatefulSet"):
        return None
    status = dig(workload, "status", default={})
    desired = dig(workload, "spec", "replicas", default=1)
    if not status or desired == 0:
        return None
    level = status.get("observedGeneration") == dig(workload, "metadata", "generation")
    full = all(
        status.get(k, 0) == desired
        for k in ("readyReplicas", "updatedReplicas", "availableReplicas")
        if k != "availableReplicas" or k in status
    )
    if not (level and full):
        return False
    if len(view.pods) != desired or len(podstate.ready(view.pods)) != desired:
        return None if not view.pods else False
    lately = [t for p in view.pods for t in podstate.terminations(p) if (age := view.age(t.at)) is None or age < 1800]
    return not lately


def _creation(view: View, workload: Object) -> Iterator[Fact]:
    """Why pods are not created, from ReplicaFailure conditions first and FailedCreate events second."""
    makers = tuple(o for o in (workload, view.current) if o is not None)
    texts = [
        (str(c.get("message", "")), path_of(o))
        for o in makers
        if (c := condition(o, "ReplicaFailure")) is not None and c.get("status") == "True"
    ]
    if not texts and len(view.pods) < int(dig(workload, "spec", "replicas", default=1) or 0):
        texts = [
            (message_of(e), "Event FailedCreate")
            for e in view.events_about(*makers)
            if e.get("reason") == "FailedCreate"
        ]
    if texts:
        text, source = texts[0]
        yield fact("create_failure", create_failure(text), source)
    for quota in view.snapshot.of_kind("ResourceQuota"):
        if namespace_of(quota) == view.namespace and _used_up(quota):
            yield fact("quota_exhausted", True, path_of(quota))
            return


def create_failure(text: str) -> str:
    lowered = text.lower()
    for kind, words in (
        ("webhook", ("failed calling webhook", "admission webhook")),
        ("podsecurity", ("violates podsecurity",)),
        ("quota", ("exceeded quota",)),
        ("forbidden", ("forbidden",)),
    ):
        if any(word in lowered for word in words):
            return kind
    return "other"


def _used_up(quota: Object) -> bool:
    hard, used = dig(quota, "status", "hard", default={}), dig(quota, "status", "used", default={})
    for key, limit in hard.items():
        top, now = quantity(limit), quantity(used.get(key))
        if top is not None and now is not None and 0 < top <= now:
            return True
    return False


def _budget(view: View) -> Iterator[Fact]:
    for pdb in view.snapshot.of_kind("PodDisruptionBudget"):
        wanted = dig(pdb, "spec", "selector", "matchLabels", default={})
        covers = wanted and any(wanted.items() <= labels_of(p).items() for p in view.pods)
        allowed = dig(pdb, "status", "disruptionsAllowed")
        if namespace_of(pdb) == view.namespace and covers and isinstance(allowed, int):
            yield fact("pdb_disruptions_allowed", allowed, f"{path_of(pdb)} .status.disruptionsAllowed")
            return
