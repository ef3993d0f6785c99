"""scale_deployment: absolute, bounded, and never against an autoscaler."""
from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.actions.applying import (
    applied,
    assert_survives,
    assert_undo_restores,
    change_of,
    plan,
    refusal,
    verification,
)

from akeso.testing.builders import condition, context, deployment, hpa
from akeso_actions.scale_deployment import ScaleDeployment

ACTION = ScaleDeployment()


@pytest.mark.parametrize(("current", "wanted"), [(2, 4), (3, 5), (1, 2), (0, 2), (4, 2), (5, 3), (3, 2), (2, 1)])
def test_one_step_at_most_doubles_or_halves(current: int, wanted: int) -> None:
    change = change_of(ACTION, context(deployment(replicas=current)), replicas=wanted)
    assert change.patch == [{"op": "add", "path": "/spec/replicas", "value": wanted}]
    assert change.before == {"/spec/replicas": current}


@pytest.mark.parametrize(("current", "wanted", "words"), [
    (2, 5, "more than double"), (0, 3, "more than double"), (1, 3, "more than double"), (5, 2, "less than half"),
    (6, 11, "above maxReplicas, 10"), (2, 0, "takes the service away"),
])
def test_it_refuses(current: int, wanted: int, words: str) -> None:
    assert words in refusal(ACTION, context(deployment(replicas=current)), replicas=wanted)


def test_zero_is_possible_when_asked_for() -> None:
    assert change_of(ACTION, context(deployment(replicas=5)), replicas=0, allowZero=True).patch[0]["value"] == 0


def test_a_higher_bound_can_be_given() -> None:
    assert change_of(ACTION, context(deployment(replicas=8)), replicas=16, maxReplicas=20)


def test_the_wanted_count_is_already_so() -> None:
    assert plan(ACTION, context(deployment(replicas=3)), replicas=3) is None


def test_a_count_that_is_absent_is_one_and_is_restored_as_absent() -> None:
    web = deployment(replicas=1)
    del web["spec"]["replicas"]
    assert plan(ACTION, context(web), replicas=1) is None
    change = change_of(ACTION, context(web), replicas=2)
    assert change.before == {"/spec/replicas": None}
    assert_undo_restores(ACTION, web, change)


def test_undo_restores_the_count() -> None:
    web = deployment(replicas=2)
    assert_undo_restores(ACTION, web, change_of(ACTION, context(web), replicas=4))


def test_a_count_that_somebody_set_since_is_not_undone() -> None:
    web = deployment(replicas=2)
    change = change_of(ACTION, context(web), replicas=4)
    now = applied(web, change)
    now["spec"]["replicas"] = 6
    assert ACTION.undo(web, now, change) is None


def test_an_autoscaled_deployment_is_left_to_its_autoscaler() -> None:
    web = deployment()
    assert "HorizontalPodAutoscaler/web scales it" in refusal(ACTION, context(web, hpa(web)), replicas=4)


def test_an_autoscaler_of_another_workload_does_not_matter() -> None:
    web = deployment()
    elsewhere = hpa(deployment(namespace="other"))
    assert change_of(ACTION, context(web, hpa(deployment("api")), elsewhere), replicas=4)


def test_where_autoscalers_could_not_be_read_it_refuses() -> None:
    ctx = context(deployment(), missing={"horizontalpodautoscalers": "no answer within the deadline"})
    assert "could not be read" in refusal(ACTION, ctx, replicas=4)


def test_it_refuses_what_is_being_deleted() -> None:
    web = deployment()
    web["metadata"]["deletionTimestamp"] = "2026-11-20T11:59:00Z"
    assert "being deleted" in refusal(ACTION, context(web), replicas=4)


@pytest.mark.parametrize("params", [
    {}, {"replicas": -1}, {"replicas": "many"}, {"replicas": 2, "by": 3}, {"replicas": 10**9},
])
def test_parameters_that_cannot_be_meant_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.params.model_validate(params)


@pytest.mark.parametrize(("now", "health"), [
    (deployment(replicas=4, generation=4), "Healthy"),
    (deployment(replicas=4, generation=4, ready=3), "Pending"),
    (deployment(replicas=4, generation=4, observed=3), "Pending"),
    (deployment(replicas=5, generation=5), "Unhealthy"),
    (deployment(replicas=4, generation=4, ready=2, conditions=[condition("ReplicaFailure", "True")]), "Unhealthy"),
    (None, "Unhealthy"),
])
def test_verification(now: dict[str, Any] | None, health: str) -> None:
    assert verification(ACTION, deployment(), now, replicas=4)[0] == health


def test_scaling_down_is_healthy_only_when_the_surplus_is_gone() -> None:
    now = deployment(replicas=1, generation=4)
    now["status"]["replicas"] = 2
    assert verification(ACTION, deployment(), now, replicas=1)[0] == "Pending"


def test_scaling_to_zero_is_healthy_when_no_pod_is_left() -> None:
    now = deployment(replicas=0, generation=4)
    assert verification(ACTION, deployment(), now, replicas=0, allowZero=True)[0] == "Healthy"


def test_hostile_objects_never_crash_it() -> None:
    web = deployment()
    assert_survives(ACTION, web, hpa(deployment("api")), replicas=4)
