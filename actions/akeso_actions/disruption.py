"""Taking one pod away: when that is safe, and when its replacement has come. Shared by restart_pod and evict_pod."""
from __future__ import annotations

from collections.abc import Sequence

from akeso.model.objects import Object, dig
from akeso.sdk.action import Context, Health, Verification
from akeso_actions import podstate
from akeso_actions.preconditions import controller, controller_uid, integer, refuse, require_live, text

RECREATING = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"})
"""Controllers that are known to bring a pod back with no more ado."""


def require_replaceable(ctx: Context) -> None:
    """Refuse a pod that nobody would replace, or whose going takes the last ready replica away."""
    pod = ctx.target
    require_live(pod)
    kind = text(controller(pod), "kind")
    if kind == "Node" or dig(pod, "metadata", "annotations", "kubernetes.io/config.mirror") is not None:
        refuse("it is a static pod: the kubelet runs it from a file")
    if not kind:
        refuse("it is a bare pod without controller: nobody would replace it")
    if kind not in RECREATING:
        refuse(f"it is controlled by a {kind}, for which a lost pod is not simply replaced")
    if text(pod, "status", "phase") == "Succeeded":
        refuse("it has ended well: there is nothing to restart")
    if podstate.ready(pod):
        _keep_serving(ctx, kind)


def _keep_serving(ctx: Context, kind: str) -> None:
    others = podstate.siblings(ctx.target, ctx.snapshot.objects)
    ready = [pod for pod in others if podstate.ready(pod)]
    if kind == "DaemonSet":
        refuse("it is ready, and no other pod of its DaemonSet serves its node")
    if not ready:
        refuse("it is the last ready replica: no other ready pod of its controller is known")
    if kind == "StatefulSet" and len(ready) < len(others):
        refuse("it is ready, and another pod of its StatefulSet is not: a quorum might be lost")


def replaced(before: Object, now: Object | None, related: Sequence[Object]) -> Verification:
    """Whether a new pod with another uid is ready in its place.

    A StatefulSet's and a DaemonSet's replacement is known by its name or node. A ReplicaSet's pods are interchangeable:
    there the ReplicaSet's count decides where `related` holds it, else all its pods, one of them newer than the old.
    """
    if now is not None and podstate.uid_of(now) == podstate.uid_of(before):
        state = "is terminating" if podstate.terminating(now) else "is still there"
        return Verification(Health.PENDING, f"the old pod {state}")
    place = _place(before)
    peers = podstate.siblings(before, [*related, *([now] if now is not None else [])])
    live = [pod for pod in peers if not podstate.terminating(pod) and (place is None or _place(pod) == place)]
    newer = live if place is not None else [pod for pod in live if _created(pod) > _created(before)]
    for pod in newer:
        if found := podstate.problem(pod):
            return Verification(Health.UNHEALTHY, f"the replacement cannot start: {found}")
    wanted = _wanted(before, related) if place is None else 1
    if wanted == 0:
        return Verification(Health.HEALTHY, "the old pod is gone and no replacement is wanted any more")
    ready = [pod for pod in live if podstate.ready(pod)]
    # Times have whole seconds, so "newer" may miss a quick replacement; the controller's count does not.
    if (newer or wanted) and len(live) == len(ready) >= (wanted or 1):
        return Verification(Health.HEALTHY, f"replaced: {len(ready)} of {len(live)} pods in its place are ready")
    return Verification(Health.PENDING, f"{len(ready)} of {len(live)} pods in its place are ready")


def _place(pod: Object) -> str | None:
    match text(controller(pod), "kind"):
        case "StatefulSet":
            return text(pod, "metadata", "name")
        case "DaemonSet":
            return text(pod, "spec", "nodeName")
    return None


def _created(pod: Object) -> str:
    return text(pod, "metadata", "creationTimestamp")  # RFC 3339 in UTC sorts as text


def _wanted(before: Object, related: Sequence[Object]) -> int | None:
    owner = next((o for o in related if podstate.uid_of(o) == controller_uid(before)), None)
    return None if owner is None else integer(owner, "spec", "replicas", default=1)
