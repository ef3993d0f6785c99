"""restart_deployment: a rolling update, and never the last ready replica without being told."""
from __future__ import annotations

from typing import Any

import pytest
from tests.unit.actions.applying import (
    applied,
    assert_survives,
    assert_undo_restores,
    change_of,
    plan,
    refusal,
    verification,
)

from akeso.sdk.action import Verb
from akeso.testing.builders import condition, context, deployment, pod, replicaset, waiting
from akeso_actions.restart_deployment import RESTARTED_AT, RestartDeployment

ACTION = RestartDeployment()


def test_the_template_gets_the_time_of_the_plan() -> None:
    change = change_of(ACTION, context(deployment()))
    assert change.verb is Verb.PATCH
    assert change.patch == [
        {"op": "add", "path": "/spec/template/metadata/annotations", "value": {}},
        {"op": "add", "path": RESTARTED_AT, "value": "2026-11-20T12:00:00Z"},
    ]
    assert change.before == {RESTARTED_AT: None}


def test_an_earlier_restart_is_restored_by_the_undo() -> None:
    web = deployment()
    earlier = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "a": "b"}
    web["spec"]["template"]["metadata"]["annotations"] = earlier
    assert_undo_restores(ACTION, web, change_of(ACTION, context(web)))


def test_the_undo_of_a_first_restart_leaves_no_annotation_behind() -> None:
    web = deployment()
    assert_undo_restores(ACTION, web, change_of(ACTION, context(web)))


def test_a_restart_by_somebody_else_since_is_not_undone() -> None:
    web = deployment()
    change = change_of(ACTION, context(web))
    now = applied(web, change)
    now["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "2026-11-20T12:05:00Z"
    assert ACTION.undo(web, now, change) is None


def test_planning_again_in_the_same_second_is_already_so() -> None:
    web = applied(deployment(), change_of(ACTION, context(deployment())))
    web["status"]["observedGeneration"] = web["metadata"]["generation"]
    assert plan(ACTION, context(web)) is None


@pytest.mark.parametrize(("web", "words"), [
    (deployment(paused=True), "paused"),
    (deployment(replicas=0), "scaled to 0"),
    (deployment(generation=4, observed=3), "not yet seen the newest spec"),
    (deployment(replicas=3, updated=1), "rollout is in progress: 1 of 3"),
    (deployment(conditions=[condition("Progressing", "True", "ReplicaSetUpdated")]), "rollout is in progress"),
    (deployment(conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")]), "did not finish"),
    (deployment(replicas=1), "single replica"),
    (deployment(strategy={"type": "Recreate"}), "all replicas down at once"),
    (deployment(strategy={"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}), "all replicas down at once"),
])
def test_it_refuses(web: dict[str, Any], words: str) -> None:
    assert words in refusal(ACTION, context(web))


def test_it_refuses_while_old_pods_of_a_rollout_are_left() -> None:
    web = deployment(replicas=2)
    web["status"]["replicas"] = 3
    assert "rollout is in progress" in refusal(ACTION, context(web))


def test_it_refuses_what_is_being_deleted() -> None:
    web = deployment()
    web["metadata"]["deletionTimestamp"] = "2026-11-20T11:59:00Z"
    assert "being deleted" in refusal(ACTION, context(web))


def test_it_refuses_an_object_without_uid() -> None:
    web = deployment()
    del web["metadata"]["uid"]
    assert "no uid" in refusal(ACTION, context(web))


def test_a_single_replica_is_restarted_when_allowed() -> None:
    assert change_of(ACTION, context(deployment(replicas=1)), allowSingleReplica=True)


def test_a_recreate_deployment_is_restarted_when_allowed() -> None:
    assert change_of(ACTION, context(deployment(strategy={"type": "Recreate"})), allowDowntime=True)


@pytest.mark.parametrize("web", [deployment(replicas=1, ready=0), deployment(ready=0, strategy={"type": "Recreate"})])
def test_where_nothing_is_ready_there_is_nothing_to_lose(web: dict[str, Any]) -> None:
    assert change_of(ACTION, context(web))


def rolled(**kwargs: Any) -> dict[str, Any]:
    return deployment(generation=4, revision=2, **kwargs)


def test_it_is_healthy_once_all_replicas_are_new_and_available() -> None:
    assert verification(ACTION, deployment(), rolled())[0] == "Healthy"


@pytest.mark.parametrize("now", [
    rolled(observed=3), rolled(ready=1), rolled(updated=1),
    rolled(conditions=[condition("Progressing", "True", "ReplicaSetUpdated")], ready=0),
])
def test_it_waits_while_the_rollout_goes_on(now: dict[str, Any]) -> None:
    assert verification(ACTION, deployment(), now)[0] == "Pending"


def test_it_waits_while_an_old_pod_is_left() -> None:
    now = rolled()
    now["status"]["replicas"] = 3
    assert verification(ACTION, deployment(), now)[0] == "Pending"


def test_a_passed_progress_deadline_is_unhealthy() -> None:
    late = [condition("Progressing", "False", "ProgressDeadlineExceeded", minutes=0)]
    assert verification(ACTION, deployment(), rolled(conditions=late, ready=1))[0] == "Unhealthy"


def test_a_progress_deadline_that_passed_before_the_restart_does_not_count() -> None:
    late = [condition("Progressing", "False", "ProgressDeadlineExceeded")]
    before = deployment(conditions=late)
    assert verification(ACTION, before, rolled(conditions=late, ready=1))[0] == "Pending"


def test_pods_that_a_quota_forbids_are_unhealthy() -> None:
    blocked = [condition("ReplicaFailure", "True", "FailedCreate", message="exceeded quota: mem", minutes=0)]
    health, message = verification(ACTION, deployment(), rolled(conditions=blocked, updated=0))
    assert health == "Unhealthy"
    assert "exceeded quota" in message


@pytest.mark.parametrize(("reason", "restarts", "health"), [
    ("CrashLoopBackOff", 2, "Unhealthy"), ("CrashLoopBackOff", 1, "Pending"),
    ("ImagePullBackOff", 0, "Unhealthy"), ("CreateContainerConfigError", 0, "Unhealthy"),
    ("ContainerCreating", 0, "Pending"),
])
def test_a_new_pod_that_cannot_start_is_unhealthy(reason: str, restarts: int, health: str) -> None:
    now = rolled(ready=1)
    new = replicaset(now)
    stuck = pod(new, ready=False, restarts=restarts, state=waiting(reason))
    assert verification(ACTION, deployment(), now, new, stuck)[0] == health


def test_a_pod_of_the_old_revision_that_crashes_does_not_count() -> None:
    now = rolled(ready=1)
    old = replicaset(now, revision=1)
    stuck = pod(old, ready=False, restarts=9, state=waiting())
    assert verification(ACTION, deployment(), now, replicaset(now), old, stuck)[0] == "Pending"


def test_a_deployment_that_is_gone_or_another_one_is_unhealthy() -> None:
    other = deployment()
    other["metadata"]["uid"] = "another"
    assert verification(ACTION, deployment(), None)[0] == "Unhealthy"
    assert verification(ACTION, deployment(), other)[0] == "Unhealthy"


def test_hostile_objects_never_crash_it() -> None:
    web = deployment()
    current = replicaset(web)
    assert_survives(ACTION, web, current, pod(current, ready=False, restarts=3, state=waiting()))
