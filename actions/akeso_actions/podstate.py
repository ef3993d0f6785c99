"""What a pod's status says: ready, going, failing, killed for memory; and who its siblings are."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from akeso.model.objects import Object, dig
from akeso_actions.preconditions import condition_of, controller_uid, integer, mappings, text

# Waiting reasons that time alone seldom cures, from the kubelet's container states.
_STUCK = frozenset({
    "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError",
})
LOOPING_AFTER = 2
"""Restarts before CrashLoopBackOff counts: one crash at start, while a dependency comes up, is no loop yet."""


def uid_of(obj: Object) -> str:
    return text(obj, "metadata", "uid")


def terminating(pod: Object) -> bool:
    return dig(pod, "metadata", "deletionTimestamp") is not None


def ready(pod: Object) -> bool:
    return condition_of(pod, "Ready").get("status") == "True" and not terminating(pod)


def problem(pod: Object) -> str:
    """Why waiting will not make this pod ready, such as `web-1: app is in CrashLoopBackOff`; empty where it may."""
    if terminating(pod):
        return ""
    for status in mappings(pod, "status", "initContainerStatuses") + mappings(pod, "status", "containerStatuses"):
        reason = text(status, "state", "waiting", "reason")
        looping = reason == "CrashLoopBackOff" and integer(status, "restartCount") >= LOOPING_AFTER
        if looping or reason in _STUCK:
            return f"{text(pod, 'metadata', 'name')}: {text(status, 'name')} is in {reason}"
    return ""


def failing(pod: Object) -> bool:
    """Not ready, or ready just now between two crashes (a container without readiness probe is ready at once)."""
    crashed = any(
        integer(s, "restartCount") >= LOOPING_AFTER and integer(s, "lastState", "terminated", "exitCode") != 0
        for s in mappings(pod, "status", "containerStatuses")
    )
    return not terminating(pod) and (crashed or not ready(pod))


def out_of_memory(pod: Object) -> list[str]:
    """Names of its containers whose present or last end was OOMKilled (init containers excluded)."""
    return [
        text(status, "name") for status in mappings(pod, "status", "containerStatuses")
        if any(text(status, state, "terminated", "reason") == "OOMKilled" for state in ("state", "lastState"))
    ]


def siblings(pod: Object, objects: Iterable[Object]) -> Sequence[Object]:
    """The other pods of the same controller."""
    mine, controller = uid_of(pod), controller_uid(pod)
    return [o for o in objects if is_pod(o) and controller and controller_uid(o) == controller and uid_of(o) != mine]


def is_pod(obj: Object) -> bool:
    return obj.get("kind") == "Pod"
