"""Facts about revisions: what the newest template changed, when it came, and whether only it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from akeso.decide.facts import podstate
from akeso.decide.facts.quantity import quantity
from akeso.decide.facts.view import (
    View,
    condition,
    fact,
    items,
    name_of,
    notes_of,
    path_of,
    revision_of,
    when,
)
from akeso.model.evidence import Fact
from akeso.model.objects import Object, dig, labels_of

FOLLOWS: Final = timedelta(minutes=90)
"""Stock alerts wait 15 minutes to an hour before they fire."""
_SKEW: Final = timedelta(seconds=60)


def facts(view: View) -> Iterator[Fact]:
    workload = view.workload
    if workload is not None and workload.get("kind") in ("StatefulSet", "DaemonSet"):
        yield from _at_least(view, workload)
    if workload is None or workload.get("kind") != "Deployment":
        return
    where = path_of(workload)
    revision = revision_of(workload) or revision_of(view.current)
    if revision is not None:
        yield fact("revision", revision, f"{where} .metadata.annotations")
        yield fact("first_revision", revision == 1 and not view.older, f"{where} .metadata.annotations")
    if view.current is None:
        return
    started = rollout_time(view)
    if started is not None:
        yield fact("rollout_age_seconds", (view.now - started).total_seconds(), f"{path_of(view.current)} .metadata")
        if view.snapshot.alerts:
            fired = view.snapshot.alert.starts_at
            yield fact("failure_before_rollout", fired < started - _SKEW, "alert .startsAt")
            yield fact("failure_follows_rollout", started - _SKEW <= fired <= started + FOLLOWS, "alert .startsAt")
    else:
        yield from _at_the_latest(view, workload)
    yield from _progress(view, workload)
    yield from _previous(view, workload, started)


def _at_least(view: View, workload: Object) -> Iterator[Fact]:
    """A StatefulSet's template is at least as old as its oldest pod of the newest revision."""
    update = dig(workload, "status", "updateRevision")
    made = [
        t
        for p in view.current_pods
        if update
        and labels_of(p).get("controller-revision-hash") == update
        and (t := when(p, "metadata", "creationTimestamp")) is not None
    ]
    if made and not view.old_pods:
        yield fact(
            "rollout_age_seconds", (view.now - min(made)).total_seconds(), f"Pods of {path_of(workload)} .metadata"
        )


def _at_the_latest(view: View, workload: Object) -> Iterator[Fact]:
    """Without the ReplicaSet's own time: it came before its oldest pod, and before the controller called it done."""
    known = [t for p in view.current_pods if (t := when(p, "metadata", "creationTimestamp")) is not None]
    done = condition(workload, "Progressing")
    if dig(done, "reason") == "NewReplicaSetAvailable" and (moved := when(done, "lastTransitionTime")) is not None:
        known.append(moved)
    if not known:
        return
    latest = min(known)
    yield fact("rollout_age_seconds", (view.now - latest).total_seconds(), f"Pods of {path_of(workload)} .metadata")
    if view.snapshot.alerts and view.snapshot.alert.starts_at >= latest - _SKEW:
        yield fact("failure_before_rollout", False, "alert .startsAt, Pods .metadata.creationTimestamp")


def rollout_time(view: View) -> datetime | None:
    """When the newest template came. A ReplicaSet that was taken up again tells no time: then its oldest pod does."""
    if "deployment.kubernetes.io/revision-history" in notes_of(view.current):
        made = [t for p in view.current_pods if (t := when(p, "metadata", "creationTimestamp")) is not None]
        return min(made, default=None)
    return when(view.current, "metadata", "creationTimestamp")


def _progress(view: View, workload: Object) -> Iterator[Fact]:
    status = dig(workload, "status")
    desired = dig(workload, "spec", "replicas", default=1)
    if status is not None:
        done = all(status.get(k, 0) == desired for k in ("updatedReplicas", "availableReplicas", "replicas"))
        yield fact("rollout_in_progress", not done, f"{path_of(workload)} .status")
    progressing = condition(workload, "Progressing")
    ready = podstate.ready(view.current_pods)
    if progressing is not None and view.current_pods:
        finished = progressing.get("reason") == "NewReplicaSetAvailable"
        yield fact(
            "current_never_ready", not finished and not ready, f"{path_of(workload)} .status.conditions[Progressing]"
        )


def _previous(view: View, workload: Object, started: datetime | None) -> Iterator[Fact]:
    where = f"ReplicaSets of {path_of(workload)}"
    if not view.older:
        if revision_of(workload) == 1 and view.gathered("ReplicaSet"):
            yield fact("previous_revision_exists", False, where)
        return
    yield fact("previous_revision_exists", True, where)
    serving = bool(podstate.ready(view.old_pods)) or any(
        dig(r, "status", "readyReplicas", default=0) > 0 for r in view.older if not _pods_seen(view, r)
    )
    yield fact("old_revision_ready", serving, where)
    was = _was_available(workload, started)
    if was is not None:
        yield fact("previous_was_available", was, f"{path_of(workload)} .status.conditions[Available]")
    only = _only_new(view, serving, was)
    if only is not None:
        yield fact("only_new_revision_fails", only, where)
    yield from _diff(view)


def _pods_seen(view: View, replica_set: Object) -> bool:
    uid = dig(replica_set, "metadata", "uid")
    return any(ref.get("uid") == uid for p in view.old_pods for ref in items(p, "metadata", "ownerReferences"))


def _was_available(workload: Object, started: datetime | None) -> bool | None:
    """It is available now through old pods, or it stopped being available only after the newest template came."""
    available = condition(workload, "Available")
    moved = when(available, "lastTransitionTime")
    if available is None or started is None or moved is None:
        return None
    if available.get("status") == "True":
        return True if moved <= started else None
    follows = started - _SKEW <= moved <= started + FOLLOWS
    return True if available.get("status") == "False" and follows else None


def _only_new(view: View, serving: bool, was: bool | None) -> bool | None:
    bad = podstate.failing(view.current_pods)
    if podstate.failing(view.old_pods):
        return False
    if not bad:
        return None
    if any(not _just_restarted(view, p) for p in podstate.ready(view.current_pods)):
        return False
    if serving:
        return True
    return True if was and len(bad) == len(view.current_pods) else None


def _just_restarted(view: View, pod: Object) -> bool:
    """Seen between two crashes: without a probe a container that has just started counts as ready."""
    for status in podstate.statuses(pod):
        ended = when(status, "lastState", "terminated", "finishedAt")
        begun = when(status, "state", "running", "startedAt")
        failed = dig(status, "lastState", "terminated", "exitCode", default=0) != 0
        lately = all(t is not None and 0 <= (view.now - t).total_seconds() < 600 for t in (ended, begun))
        if failed and lately and podstate.restarts_of(status) >= 2:
            return True
    return False


def _diff(view: View) -> Iterator[Fact]:
    new, old = dig(view.current, "spec", "template"), dig(view.older[0], "spec", "template")
    if not dig(new, "spec") or not dig(old, "spec"):
        return
    source = f"ReplicaSet/{name_of(view.current)} against ReplicaSet/{name_of(view.older[0])} .spec.template"
    changes = template_changes(old, new)
    yield fact("template_changes", tuple(changes), source)
    yield fact("template_restart_only", not changes, source)
    yield fact("memory_limit_lowered", _moved(old, new, "limits", ("memory",), up=False), source)
    yield fact("requests_raised", _moved(old, new, "requests", ("memory", "cpu"), up=True), source)


_CONTAINER_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("image",),
    "command": ("command", "args", "workingDir"),
    "env": ("env", "envFrom"),
    "resources": ("resources",),
    "probes": ("readinessProbe", "livenessProbe", "startupProbe"),
    "ports": ("ports",),
    "volumes": ("volumeMounts",),
    "security": ("securityContext",),
    "lifecycle": ("lifecycle",),
}
_POD_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "nodeSelector": ("nodeSelector", "nodeName"),
    "affinity": ("affinity", "topologySpreadConstraints"),
    "tolerations": ("tolerations",),
    "volumes": ("volumes",),
    "security": ("securityContext",),
    "serviceAccount": ("serviceAccountName", "imagePullSecrets"),
    "priority": ("priorityClassName",),
    "runtime": ("runtimeClassName", "hostNetwork", "dnsPolicy", "dnsConfig"),
}


def template_changes(old: Any, new: Any) -> list[str]:
    """What differs between two pod templates, in catalogue words; annotations alone are no change."""
    found = {
        part for part, keys in _POD_PARTS.items() if any(dig(old, "spec", k) != dig(new, "spec", k) for k in keys)
    }
    before, after = containers(old), containers(new)
    if before.keys() != after.keys():
        found.add("containers")
    for name in before.keys() & after.keys():
        found |= {
            part
            for part, keys in _CONTAINER_PARTS.items()
            if any(before[name].get(k) != after[name].get(k) for k in keys)
        }
    if config_refs(old) != config_refs(new):
        found.add("config_refs")
    return sorted(found)


def containers(template: Any) -> dict[str, Object]:
    spec = dig(template, "spec", default={})
    return {str(c.get("name")): c for key in ("initContainers", "containers") for c in items(spec, key)}


def config_refs(template: Any) -> frozenset[tuple[str, str, str]]:
    """(kind, object, key) of every ConfigMap and Secret that a template takes values from."""
    inner = containers(template).values()
    found = [
        (kind, dig(env, "valueFrom", source, "name"), str(dig(env, "valueFrom", source, "key")))
        for c in inner
        for env in items(c, "env")
        for source, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"))
    ]
    found += [
        (kind, dig(env, source, "name"), "")
        for c in inner
        for env in items(c, "envFrom")
        for source, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret"))
    ]
    volumes = items(template, "spec", "volumes")
    found += [("ConfigMap", dig(v, "configMap", "name"), "") for v in volumes]
    found += [("Secret", dig(v, "secret", "secretName"), "") for v in volumes]
    return frozenset((kind, str(name), key) for kind, name, key in found if name)


def _moved(old: Any, new: Any, part: str, resources: tuple[str, ...], *, up: bool) -> bool:
    before = containers(old)
    for name, container in containers(new).items():
        for resource in resources:
            now = quantity(dig(container, "resources", part, resource))
            was = quantity(dig(before.get(name), "resources", part, resource))
            if now is None:
                continue
            if up and now > (was or 0.0):
                return True
            if not up and was is not None and now < was:
                return True
    return False
