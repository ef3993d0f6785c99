"""Which objects stand around a target: selectors, mounts, owners. Pure functions over raw objects."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from akeso.model.objects import Object, ObjectRef, controller_of, dig, labels_of

TEMPLATED: Final = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")


def selector_of(target: Object) -> Mapping[str, str]:
    """The equality labels that select the target's pods; empty where it selects none."""
    if target.get("kind") == "Service":
        return dig(target, "spec", "selector", default={})  # type: ignore[no-any-return]
    if target.get("kind") in (*TEMPLATED, "PodDisruptionBudget"):
        return dig(target, "spec", "selector", "matchLabels", default={})  # type: ignore[no-any-return]
    return {}


def pod_labels(target: Object) -> Mapping[str, str]:
    """The labels that the target's pods carry, by its template, or its own for a Pod."""
    if target.get("kind") == "Pod":
        return labels_of(target)
    return dig(target, "spec", "template", "metadata", "labels", default={})  # type: ignore[no-any-return]


def selects(selector: Mapping[str, str], carried: Mapping[str, str]) -> bool:
    """True where an equality selector takes pods with these labels. An empty one takes none here."""
    return bool(selector) and all(carried.get(key) == value for key, value in selector.items())


def owned(objects: Iterable[Object], owner: ObjectRef) -> list[Object]:
    """Those controlled by that owner, by uid."""
    return [o for o in objects if (controller_of(o) or {}).get("uid") == owner.uid]


def newest_first(objects: Iterable[Object]) -> list[Object]:
    return sorted(objects, key=lambda o: str(dig(o, "metadata", "creationTimestamp", default="")), reverse=True)


def claims(pods: Iterable[Object]) -> set[str]:
    """Names of the PersistentVolumeClaims that these pods mount."""
    volumes = [v for pod in pods for v in dig(pod, "spec", "volumes", default=[])]
    return {str(dig(v, "persistentVolumeClaim", "claimName")) for v in volumes if dig(v, "persistentVolumeClaim")}


def revision(replica_set: Object) -> int:
    """The rollout revision of a ReplicaSet; 0 where its annotation is no number (anybody may write it)."""
    text = str(dig(replica_set, "metadata", "annotations", "deployment.kubernetes.io/revision", default="0"))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def failing(pod: Object) -> list[tuple[str, int]]:
    """(container, restarts) of the containers that are not as they should be, init containers first."""
    if dig(pod, "status", "phase") == "Succeeded":
        return []
    found = []
    for field in ("initContainerStatuses", "containerStatuses"):
        for status in dig(pod, "status", field, default=[]):
            ended = dig(status, "state", "terminated", "exitCode")
            done = field == "initContainerStatuses" and ended == 0
            restarts = int(dig(status, "restartCount", default=0))
            if not done and (restarts or ended or not status.get("ready")):
                found.append((str(status.get("name", "")), restarts))
    return found


def unschedulable(pod: Object) -> bool:
    """True where the scheduler looked at every node and found none."""
    conditions = dig(pod, "status", "conditions", default=[])
    return any(c.get("type") == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)


def unwell(pod: Object) -> bool:
    """True where a container of it is not as it should be, or it failed as a whole."""
    return bool(failing(pod)) or dig(pod, "status", "phase") == "Failed"


def worst_first(pods: Sequence[Object], alerted: str) -> list[Object]:
    """The pod of the alert, then the failing ones by restarts, then the others."""
    def badness(pod: Object) -> tuple[bool, int, int]:
        bad = failing(pod)
        return dig(pod, "metadata", "name") == alerted, len(bad), sum(restarts for _, restarts in bad)
    return sorted(pods, key=badness, reverse=True)


def concerns(event: Object, objects: Iterable[Object]) -> bool:
    """True where the event is about one of these: by uid, else by kind and name."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    for obj in objects:
        if about.get("uid") and about.get("uid") == dig(obj, "metadata", "uid"):
            return True
        same_name = about.get("name") == dig(obj, "metadata", "name")
        no_uid = not about.get("uid") or not dig(obj, "metadata", "uid")
        if same_name and about.get("kind") == obj.get("kind") and no_uid:
            return True
    return False


def event_time(event: Object) -> str:
    """When it was last seen, as text that sorts by time."""
    for path in (("series", "lastObservedTime"), ("lastTimestamp",), ("eventTime",), ("metadata", "creationTimestamp")):
        if at := dig(event, *path):
            return str(at)
    return ""
