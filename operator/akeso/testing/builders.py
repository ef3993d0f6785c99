"""Builders of raw Kubernetes objects, alerts and snapshots: as the API server returns them, owners and uids consistent.

Every builder returns a fresh dict that may be changed freely. uids derive from kind, namespace and name, so that two
builders agree on them without being handed each other's results. `NOW` is the clock of everything built here.
"""
from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from akeso.clock import format_time
from akeso.model.alert import Alert, AlertStatus
from akeso.model.evidence import PastAction, Series, Snapshot
from akeso.model.objects import Kind, Object, ObjectRef, ref_of
from akeso.sdk.action import Context

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NAMESPACE = "shop"
REVISION = "deployment.kubernetes.io/revision"
TEMPLATE_HASH = "pod-template-hash"

Raw = dict[str, Any]


def ago(*, minutes: float = 0, seconds: float = 0) -> str:
    """A metav1.Time that long before NOW."""
    return format_time(NOW - timedelta(minutes=minutes, seconds=seconds))


def uid_of(kind: str, namespace: str, name: str) -> str:
    """The uid that the builders give to that object."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{namespace}/{name}"))


def owner(obj: Mapping[str, Any]) -> Raw:
    """The controller reference to that object."""
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }


def metadata(
    kind: str, namespace: str, name: str, *, uid: str = "", generation: int | None = None, minutes_old: float = 60,
    labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None,
    owned_by: Mapping[str, Any] | None = None,
) -> Raw:
    """ObjectMeta. Empty labels and annotations are left out, as the API server does."""
    meta: Raw = {
        "name": name, "uid": uid or uid_of(kind, namespace, name), "resourceVersion": "1000",
        "creationTimestamp": ago(minutes=minutes_old),
    }
    if namespace:
        meta["namespace"] = namespace
    if generation is not None:
        meta["generation"] = generation
    if labels:
        meta["labels"] = dict(labels)
    if annotations:
        meta["annotations"] = dict(annotations)
    if owned_by is not None:
        meta["ownerReferences"] = [owner(owned_by)]
    return meta


def container(
    name: str = "app", *, image: str = "web:1", limits: Mapping[str, str] | None = None,
    requests: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None,
) -> Raw:
    """A container of a pod template."""
    resources: Raw = {}
    if limits:
        resources["limits"] = dict(limits)
    if requests:
        resources["requests"] = dict(requests)
    built: Raw = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "resources": resources}
    if env:
        built["env"] = [{"name": key, "value": value} for key, value in env.items()]
    return built


def template(
    name: str, containers: Sequence[Mapping[str, Any]] | None = None, *, annotations: Mapping[str, str] | None = None,
) -> Raw:
    """A pod template with the label `app: name`."""
    meta: Raw = {"labels": {"app": name}}
    if annotations:
        meta["annotations"] = dict(annotations)
    spec = {"containers": deepcopy(list(containers or [container()])), "restartPolicy": "Always"}
    return {"metadata": meta, "spec": spec}


def condition(type_: str, status: str, reason: str = "", *, minutes: float = 30, message: str = "") -> Raw:
    """A condition of a workload or a node that last changed that many minutes before NOW."""
    when = ago(minutes=minutes)
    return {
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": when, "lastUpdateTime": when,
    }


def deployment(
    name: str = "web", *, namespace: str = NAMESPACE, replicas: int = 2, ready: int | None = None,
    updated: int | None = None, generation: int = 3, observed: int | None = None, revision: int = 1,
    containers: Sequence[Mapping[str, Any]] | None = None, annotations: Mapping[str, str] | None = None,
    strategy: Mapping[str, Any] | None = None, conditions: Sequence[Mapping[str, Any]] | None = None,
    paused: bool = False, labels: Mapping[str, str] | None = None,
) -> Raw:
    """A Deployment whose last rollout is complete unless `ready`, `updated`, `observed`, `conditions` say otherwise."""
    up = replicas if ready is None else ready
    fresh = replicas if updated is None else updated
    spec: Raw = {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}}, "progressDeadlineSeconds": 600,
        "strategy": dict(strategy) if strategy else {
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
        "template": template(name, containers),
    }
    if paused:
        spec["paused"] = True
    counts = {
        "replicas": replicas, "updatedReplicas": fresh, "readyReplicas": up, "availableReplicas": up,
        "unavailableReplicas": max(0, replicas - up),
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": metadata(
            "Deployment", namespace, name, generation=generation, labels=labels or {"app": name},
            annotations={REVISION: str(revision), **(annotations or {})},
        ),
        "spec": spec,
        "status": {
            "observedGeneration": generation if observed is None else observed,
            **{key: value for key, value in counts.items() if value},
            "conditions": [dict(c) for c in conditions] if conditions is not None else [
                condition("Available", "True" if up >= replicas else "False", "MinimumReplicasAvailable"),
                condition("Progressing", "True", "NewReplicaSetAvailable"),
            ],
        },
    }


def replicaset(
    of: Mapping[str, Any], *, revision: int | None = None, replicas: int | None = None, ready: int | None = None,
    containers: Sequence[Mapping[str, Any]] | None = None, minutes_old: float = 60,
    annotations: Mapping[str, str] | None = None,
) -> Raw:
    """The ReplicaSet of one revision of a Deployment; by default the current one, with its template and all ready."""
    meta = of["metadata"]
    name, namespace = meta["name"], meta["namespace"]
    number = revision if revision is not None else int(meta["annotations"][REVISION])
    count = of["spec"]["replicas"] if replicas is None else replicas
    up = count if ready is None else ready
    digest = f"{number:x}".rjust(3, "0") + "abcdef"
    own = deepcopy(of["spec"]["template"]) if containers is None else template(name, containers)
    own["metadata"]["labels"][TEMPLATE_HASH] = digest
    counts = {"readyReplicas": up, "availableReplicas": up}
    return {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": metadata(
            "ReplicaSet", namespace, f"{name}-{digest}", generation=1, minutes_old=minutes_old, owned_by=of,
            labels={"app": name, TEMPLATE_HASH: digest}, annotations={REVISION: str(number), **(annotations or {})},
        ),
        "spec": {"replicas": count, "selector": {"matchLabels": {"app": name, TEMPLATE_HASH: digest}}, "template": own},
        "status": {"observedGeneration": 1, "replicas": count, **{k: v for k, v in counts.items() if v}},
    }


def statefulset(name: str = "db", *, namespace: str = NAMESPACE, replicas: int = 3, ready: int | None = None) -> Raw:
    """A StatefulSet."""
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": metadata("StatefulSet", namespace, name, generation=1, labels={"app": name}),
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
            "template": template(name),
        },
        "status": {
            "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas if ready is None else ready,
        },
    }


def terminated(reason: str = "Error", *, exit_code: int = 1, minutes: float = 1) -> Raw:
    """A terminated container state: `terminated("OOMKilled", exit_code=137)`."""
    return {"terminated": {
        "reason": reason, "exitCode": exit_code,
        "startedAt": ago(minutes=minutes + 1), "finishedAt": ago(minutes=minutes),
    }}


def waiting(reason: str = "CrashLoopBackOff", message: str = "") -> Raw:
    """A waiting container state."""
    return {"waiting": {"reason": reason, "message": message}}


def pod(
    of: Mapping[str, Any] | None = None, suffix: str = "1", *, name: str = "", namespace: str = NAMESPACE,
    ready: bool = True, phase: str = "Running", node: str = "n1", restarts: int = 0,
    state: Mapping[str, Any] | None = None, last_state: Mapping[str, Any] | None = None, minutes_old: float = 30,
    terminating: bool = False, uid: str = "", containers: Sequence[Mapping[str, Any]] | None = None,
) -> Raw:
    """A pod of that controller (ReplicaSet, StatefulSet, Job, ...) or, without one, a bare pod.

    `state` and `last_state` go to its first container, see `waiting` and `terminated`.
    """
    namespace = of["metadata"]["namespace"] if of else namespace
    name = name or (f"{of['metadata']['name']}-{suffix}" if of else "bare")
    inner = of["spec"]["template"] if of else template(name, containers)
    specs = deepcopy(list(containers or inner["spec"]["containers"]))
    meta = metadata(
        "Pod", namespace, name, uid=uid, minutes_old=minutes_old, owned_by=of, labels=inner["metadata"]["labels"],
    )
    if terminating:
        meta |= {"deletionTimestamp": ago(seconds=5), "deletionGracePeriodSeconds": 30}
    statuses = [
        {
            "name": c["name"], "image": c["image"], "imageID": "", "ready": ready, "started": ready,
            "restartCount": restarts if i == 0 else 0,
            "state": dict(state) if state and i == 0 else {"running": {"startedAt": ago(minutes=minutes_old)}},
            "lastState": dict(last_state) if last_state and i == 0 else {},
        }
        for i, c in enumerate(specs)
    ]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {"nodeName": node, "containers": specs, "restartPolicy": inner["spec"].get("restartPolicy", "Always")},
        "status": {
            "phase": phase, "qosClass": "Burstable", "containerStatuses": statuses,
            "conditions": [condition("Ready", "True" if ready else "False", "" if ready else "ContainersNotReady")],
        },
    }


def node(
    name: str = "n1", *, ready: bool = True, unschedulable: bool = False, labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None, memory: str = "8Gi", minutes: float = 60,
    conditions: Sequence[Mapping[str, Any]] = (),
) -> Raw:
    """A Node whose Ready condition last changed that many minutes before NOW; more `conditions` are appended."""
    size = {"cpu": "4", "memory": memory, "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": metadata(
            "Node", "", name, labels={"kubernetes.io/hostname": name, **(labels or {})},
            annotations={"node.alpha.kubernetes.io/ttl": "0", **(annotations or {})},
        ),
        "spec": {"unschedulable": True} if unschedulable else {},
        "status": {
            "capacity": dict(size), "allocatable": dict(size),
            "conditions": [
                condition("Ready", "True", "KubeletReady", minutes=minutes) if ready
                else condition("Ready", "Unknown", "NodeStatusUnknown", minutes=minutes),
                *(dict(c) for c in conditions),
            ],
        },
    }


def namespace(
    name: str = NAMESPACE, *, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None,
) -> Raw:
    """A Namespace; pass `labels={"akeso.dev/managed": "true"}` for one that opted in."""
    return {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": metadata(
            "Namespace", "", name, annotations=annotations,
            labels={"kubernetes.io/metadata.name": name, **(labels or {})},
        ),
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    }


def hpa(of: Mapping[str, Any], *, minimum: int = 1, maximum: int = 5) -> Raw:
    """A HorizontalPodAutoscaler of that workload."""
    meta = of["metadata"]
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": metadata("HorizontalPodAutoscaler", meta["namespace"], meta["name"]),
        "spec": {
            "scaleTargetRef": {"apiVersion": of["apiVersion"], "kind": of["kind"], "name": meta["name"]},
            "minReplicas": minimum, "maxReplicas": maximum,
        },
        "status": {"currentReplicas": minimum, "desiredReplicas": minimum},
    }


def alert(
    name: str = "KubePodCrashLooping", *, namespace: str = NAMESPACE, labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None, status: AlertStatus = "firing", minutes: float = 5,
    fingerprint: str = "0123456789abcdef",
) -> Alert:
    """An alert that began that many minutes before NOW."""
    return Alert(
        fingerprint=fingerprint, status=status,
        labels={"alertname": name, "namespace": namespace, "severity": "warning", **(labels or {})},
        annotations=dict(annotations or {}), starts_at=NOW - timedelta(minutes=minutes),
        ends_at=NOW if status == "resolved" else None, source="http://alertmanager:9093",
    )


def snapshot(
    *objects: Object, alerts: Sequence[Alert] | None = None, target: ObjectRef | None = None,
    events: Sequence[Object] = (), logs: Mapping[str, str] | None = None, series: Sequence[Series] = (),
    history: Sequence[PastAction] = (), missing: Mapping[str, str] | None = None, now: datetime = NOW,
) -> Snapshot:
    """A snapshot of those objects. Without a target, the first object of a known kind is it."""
    if target is None and objects:
        target = ref_of(objects[0])
    return Snapshot(
        now=now, alerts=tuple(alerts) if alerts is not None else (alert(),), target=target, objects=tuple(objects),
        events=tuple(events), logs=dict(logs or {}), series=tuple(series), history=tuple(history),
        missing=dict(missing or {}),
    )


def context(target: Object, *related: Object, kind: Kind | None = None, **more: Any) -> Context:
    """What an action is handed about that target: it and the related objects in one snapshot; `more` as `snapshot`."""
    ref = ref_of(target, kind)
    seen = snapshot(target, *related, target=ref, **more)
    return Context(now=seen.now, ref=ref, target=target, snapshot=seen)
