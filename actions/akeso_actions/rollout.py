"""Deployments: which ReplicaSet is current, whether a rollout is complete, under way or has failed."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from akeso.model.objects import Object, dig
from akeso.sdk.action import Health, Verification
from akeso_actions import podstate
from akeso_actions.preconditions import condition_of, controller_uid, integer, refuse, require_live, text

REVISION = "deployment.kubernetes.io/revision"
POD_TEMPLATE_HASH = "pod-template-hash"
_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")


def replicas(deployment: Object) -> int:
    """Wanted replicas; absent means 1, as the API server defaults it."""
    return integer(deployment, "spec", "replicas", default=1)


def revision(obj: Object) -> int:
    """The rollout revision of a Deployment or ReplicaSet; 0 where unknown."""
    number = text(obj, "metadata", "annotations", REVISION)
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0


def replicasets(deployment: Object, objects: Iterable[Object]) -> list[Object]:
    """The ReplicaSets that this very Deployment (by uid) controls, newest revision first."""
    uid = podstate.uid_of(deployment)
    owned = [o for o in objects if o.get("kind") == "ReplicaSet" and uid and controller_uid(o) == uid]
    return sorted(owned, key=revision, reverse=True)


def current_replicaset(deployment: Object, objects: Iterable[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's present revision."""
    number = revision(deployment)
    return next((rs for rs in replicasets(deployment, objects) if number and revision(rs) == number), None)


def pods_of(replicaset: Object | None, objects: Iterable[Object]) -> list[Object]:
    """The pods that this ReplicaSet controls, those on their way out left out."""
    uid = podstate.uid_of(replicaset) if replicaset is not None else ""
    return [
        o for o in objects
        if podstate.is_pod(o) and uid and controller_uid(o) == uid and not podstate.terminating(o)
    ]


def observed(deployment: Object) -> bool:
    """True where the status speaks of the present spec."""
    return integer(deployment, "status", "observedGeneration") >= integer(deployment, "metadata", "generation")


def require_steerable(deployment: Object) -> None:
    """Refuse what no rollout can be started on: going, paused, or with a status that lags behind the spec."""
    require_live(deployment)
    if dig(deployment, "spec", "paused") is True:
        refuse("the Deployment is paused: somebody is working on it", "kubectl rollout resume, or leave it to them")
    if not observed(deployment):
        refuse("the deployment controller has not yet seen the newest spec", "try again in a few seconds")


def in_progress(deployment: Object) -> str:
    """Why the last rollout does not count as complete; empty where it does. Pods that failed later do not matter."""
    progressing = condition_of(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return "the last rollout did not finish within its deadline"
    wanted, updated = replicas(deployment), integer(deployment, "status", "updatedReplicas")
    if updated < wanted or integer(deployment, "status", "replicas") > updated:
        return f"a rollout is in progress: {updated} of {wanted} replicas are updated"
    if progressing and progressing.get("reason") != "NewReplicaSetAvailable":
        return "a rollout is in progress: it has not become available yet"
    return ""


def health(before: Object, now: Object | None, related: Sequence[Object]) -> Verification:
    """How the rollout that was begun after `before` stands.

    Complete: observed, and updated = ready = available = replicas with no old pod left. Failed: the progress deadline
    passed, a quota or admission refuses pods, or a pod of the new ReplicaSet cannot start.
    """
    if now is None or podstate.uid_of(now) != podstate.uid_of(before):
        return Verification(Health.UNHEALTHY, "the Deployment is gone")
    if not observed(now):
        return Verification(Health.PENDING, "waiting for the deployment controller to see the change")
    wanted = replicas(now)
    counts = {key: integer(now, "status", key) for key in _COUNTS}
    failure = _failure(before, now, related)
    if failure:
        return Verification(Health.UNHEALTHY, failure)
    if all(count == wanted for count in counts.values()):
        return Verification(Health.HEALTHY, f"rollout complete: {wanted} replicas updated, ready and available")
    updated, available = counts["updatedReplicas"], counts["availableReplicas"]
    return Verification(Health.PENDING, f"{updated} updated and {available} available of {wanted} replicas")


def _failure(before: Object, now: Object, related: Sequence[Object]) -> str:
    for pod in pods_of(current_replicaset(now, related), related):
        if found := podstate.problem(pod):
            return f"a pod of the new revision cannot start: {found}"
    failed = fresh_condition(before, now, "Progressing")
    if failed.get("status") == "False" and failed.get("reason") == "ProgressDeadlineExceeded":
        return f"the rollout passed its progress deadline: {text(failed, 'message')[:200]}"
    blocked = fresh_condition(before, now, "ReplicaFailure")
    if blocked.get("status") == "True":
        return f"pods cannot be created: {text(blocked, 'message')[:200]}"
    return ""


def fresh_condition(before: Object, now: Object, type_: str) -> Mapping[str, Any]:
    """The condition, unless it is still the very one of `before`: the controller keeps an old verdict such as
    ProgressDeadlineExceeded until the new rollout makes its first progress."""
    found = condition_of(now, type_)
    return {} if found == condition_of(before, type_) else found


def may_take_down(deployment: Object) -> int:
    """How many pods the update strategy may take down before their replacements are ready; all of them for Recreate.

    Percentages round down; where neither taking down nor surging would be allowed, the controller takes down one.
    """
    wanted = replicas(deployment)
    if text(deployment, "spec", "strategy", "type") == "Recreate":
        return wanted
    allowed = _share(dig(deployment, "spec", "strategy", "rollingUpdate", "maxUnavailable", default="25%"), wanted)
    return max(allowed, 0 if surge(deployment) else 1)


def surge(deployment: Object) -> int:
    """How many pods a rolling update may run above the wanted count; percentages round up."""
    if text(deployment, "spec", "strategy", "type") == "Recreate":
        return 0
    value = dig(deployment, "spec", "strategy", "rollingUpdate", "maxSurge", default="25%")
    return _share(value, replicas(deployment), up=True)


def _share(value: Any, of: int, *, up: bool = False) -> int:
    """An IntOrString of a rolling update; what cannot be read counts as all, which is the cautious reading."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = value[:-1] if isinstance(value, str) and value.endswith("%") else ""
    if not (number.isascii() and number.isdigit() and len(number) < 6):
        return of
    exact = Fraction(int(number) * of, 100)
    return -(-exact.numerator // exact.denominator) if up else exact.numerator // exact.denominator
