"""What one pod's status says, in words that the other modules share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from akeso.decide.facts.view import condition, condition_is, items, name_of, when
from akeso.model.objects import Object, dig

IMAGE_WAITS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    }
)
CONFIG_WAITS: Final = frozenset({"CreateContainerConfigError"})
CRASH_WAITS: Final = frozenset(
    {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "PostStartHookError"}
)

CRASH, IMAGE, CONFIG, UNSCHEDULABLE, NOT_READY, CREATING, EVICTED = (
    "crash",
    "image",
    "config",
    "unschedulable",
    "not_ready",
    "creating",
    "evicted",
)


@dataclass(frozen=True, slots=True)
class Termination:
    """The newest end of a container that did not end well."""

    pod: str
    container: str
    exit_code: int
    reason: str
    at: datetime | None
    restarts: int


def statuses(pod: Object) -> list[Object]:
    return [s for key in ("initContainerStatuses", "containerStatuses") for s in items(pod, "status", key)]


def waiting(pod: Object) -> list[Object]:
    """The `waiting` states of its containers, with reason and message."""
    found = (dig(s, "state", "waiting") for s in statuses(pod))
    return [w for w in found if w is not None and hasattr(w, "get")]


def terminations(pod: Object) -> list[Termination]:
    """Per container the newest termination with an exit code other than 0 (the state, else the last state)."""
    found = []
    for status in statuses(pod):
        for key in ("state", "lastState"):
            ended = dig(status, key, "terminated")
            code = dig(ended, "exitCode")
            if ended is None or not isinstance(code, int) or (code == 0 and ended.get("reason") != "OOMKilled"):
                continue
            found.append(
                Termination(
                    name_of(pod),
                    str(status.get("name", "")),
                    code,
                    str(ended.get("reason", "")),
                    when(ended, "finishedAt"),
                    restarts_of(status),
                )
            )
            break
    return found


def restarts_of(status: Object) -> int:
    count = status.get("restartCount", 0)
    return count if isinstance(count, int) else 0


def restarts(pod: Object) -> int:
    return max((restarts_of(s) for s in statuses(pod)), default=0)


def is_ready(pod: Object) -> bool:
    return condition_is(pod, "Ready") is True


def is_unschedulable(pod: Object) -> bool:
    scheduled = condition(pod, "PodScheduled")
    return scheduled is not None and scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"


def not_ready_since(pod: Object) -> datetime | None:
    ready = condition(pod, "Ready")
    return when(ready, "lastTransitionTime") if ready is not None and ready.get("status") == "False" else None


def failure_mode(pod: Object) -> str | None:
    """Why this pod does not serve, or None where it serves or nothing can be said."""
    if dig(pod, "status", "phase") == "Failed":
        return EVICTED if dig(pod, "status", "reason") in ("Evicted", "Preempting", "NodeLost") else CRASH
    if is_ready(pod):
        return None
    reasons = {str(w.get("reason", "")) for w in waiting(pod)}
    for mode, waits in ((IMAGE, IMAGE_WAITS), (CONFIG, CONFIG_WAITS), (CRASH, CRASH_WAITS)):
        if reasons & waits:
            return mode
    if is_unschedulable(pod):
        return UNSCHEDULABLE
    if any(t.restarts > 0 or _ended(pod, t) for t in terminations(pod)):
        return CRASH
    if "ContainerCreating" in reasons or "PodInitializing" in reasons:
        return CREATING
    running = any(dig(s, "state", "running") is not None for s in statuses(pod))
    return NOT_READY if running and condition_is(pod, "Ready") is False else None


def _ended(pod: Object, end: Termination) -> bool:
    return any(s.get("name") == end.container and dig(s, "state", "terminated") is not None for s in statuses(pod))


def failing(pods: Sequence[Object]) -> list[Object]:
    return [p for p in pods if failure_mode(p) is not None]


def ready(pods: Sequence[Object]) -> list[Object]:
    return [p for p in pods if is_ready(p)]
