"""set_memory_limit: one bounded step, only for a container that was OOM-killed under the present template."""
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

from akeso.testing.builders import (
    NAMESPACE,
    condition,
    container,
    context,
    deployment,
    metadata,
    node,
    pod,
    replicaset,
    terminated,
    waiting,
)
from akeso_actions.set_memory_limit import SetMemoryLimit

ACTION = SetMemoryLimit()
LIMIT = "/spec/template/spec/containers/0/resources/limits/memory"
REQUEST = "/spec/template/spec/containers/0/resources/requests/memory"
OOM = terminated("OOMKilled", exit_code=137)


def killed(limit: str = "64Mi", request: str | None = "32Mi", **more: Any) -> list[dict[str, Any]]:
    """A Deployment, its ReplicaSet and a pod whose container `app` was OOM-killed; a sidecar that was not."""
    app = container(limits={"memory": limit} if limit else None, requests={"memory": request} if request else None)
    web = deployment(ready=1, containers=[app, container("sidecar", limits={"memory": "16Mi"})], **more)
    current = replicaset(web, ready=1)
    return [web, current, pod(current, ready=False, restarts=3, state=waiting(), last_state=OOM), pod(current, "2")]


def limit_range(**item: Any) -> dict[str, Any]:
    return {"kind": "LimitRange", "metadata": metadata("LimitRange", NAMESPACE, "lr"), "spec": {"limits": [item]}}


def quota(key: str, hard: str, used: str) -> dict[str, Any]:
    return {
        "kind": "ResourceQuota", "metadata": metadata("ResourceQuota", NAMESPACE, "mem"),
        "status": {"hard": {key: hard}, "used": {key: used}},
    }


@pytest.mark.parametrize(("old", "params", "new"), [
    ("64Mi", {}, "96Mi"), ("64Mi", {"factor": "2"}, "128Mi"), ("100Mi", {"factor": "1.25"}, "125Mi"),
    ("1Gi", {}, "1536Mi"), ("0.5Gi", {}, "768Mi"), ("100M", {}, "144Mi"), ("65M", {"factor": "1.01"}, "63Mi"),
    ("1200Ki", {}, "1800Ki"), ("64Mi", {"limit": "100Mi"}, "100Mi"), ("64Mi", {"limit": "128000000"}, "128M"),
    ("1Gi", {"factor": "2"}, "2Gi"), ("2Gi", {"maxLimit": "4Gi"}, "3Gi"), ("67108864", {}, "96Mi"),
])
def test_the_new_limit_is_exact_and_readable(old: str, params: dict[str, Any], new: str) -> None:
    change = change_of(ACTION, context(*killed(old)), **params)
    assert change.patch == [{"op": "add", "path": LIMIT, "value": new}]
    assert change.before == {LIMIT: old}


def test_rounding_up_never_passes_the_cap() -> None:
    change = change_of(ACTION, context(*killed("100M")), maxLimit="150M")
    assert change.patch[0]["value"] == "150M"


def test_a_request_that_equals_the_limit_rises_with_it() -> None:
    """Guaranteed stays Guaranteed; equal is meant as an amount, however it is written."""
    change = change_of(ACTION, context(*killed("1Gi", "1024Mi")))
    assert {op["path"]: op["value"] for op in change.patch} == {LIMIT: "1536Mi", REQUEST: "1536Mi"}
    assert change.before == {LIMIT: "1Gi", REQUEST: "1024Mi"}


def test_a_request_that_is_absent_stays_absent() -> None:
    assert [op["path"] for op in change_of(ACTION, context(*killed(request=None))).patch] == [LIMIT]


@pytest.mark.parametrize("request_", ["32Mi", "64Mi", None])
def test_undo_restores_the_very_text(request_: str | None) -> None:
    web, *rest = killed("0.0625Gi", request_)
    assert_undo_restores(ACTION, web, change_of(ACTION, context(web, *rest)))


def test_undo_never_touches_another_container() -> None:
    web, *rest = killed()
    change = change_of(ACTION, context(web, *rest))
    now = applied(web, change)
    now["spec"]["template"]["spec"]["containers"].reverse()
    assert ACTION.undo(web, now, change) is None


def test_undo_leaves_a_limit_that_somebody_set_since() -> None:
    web, *rest = killed()
    change = change_of(ACTION, context(web, *rest))
    now = applied(web, change)
    now["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = "1Gi"
    assert ACTION.undo(web, now, change) is None


def test_the_killed_container_is_found_and_can_be_named() -> None:
    assert change_of(ACTION, context(*killed()), container="app").patch[0]["path"] == LIMIT
    assert "no pod of the present revision" in refusal(ACTION, context(*killed()), container="sidecar")
    assert "has no container 'nobody'; it has: app, sidecar" in refusal(ACTION, context(*killed()), container="nobody")


def test_several_killed_containers_are_ambiguous() -> None:
    objects = killed()
    objects[2]["status"]["containerStatuses"][1]["state"] = OOM
    assert "several containers were OOMKilled: app, sidecar" in refusal(ACTION, context(*objects))
    assert change_of(ACTION, context(*objects), container="sidecar").patch[0]["value"] == "24Mi"


def test_without_proof_it_refuses() -> None:
    web, current, *_ = killed()
    crashed = pod(current, ready=False, restarts=3, state=waiting(), last_state=terminated())
    assert "no pod of the present revision" in refusal(ACTION, context(web, current, crashed))
    assert "no pod of the present revision" in refusal(ACTION, context(web))


def test_a_kill_under_an_older_template_proves_nothing() -> None:
    web, current, *_ = killed(revision=2)
    old = replicaset(web, revision=1)
    dead = pod(old, ready=False, restarts=3, last_state=OOM)
    assert "no pod of the present revision" in refusal(ACTION, context(web, current, old, dead))


@pytest.mark.parametrize(("objects", "params", "words"), [
    (killed("2Gi"), {}, "above the cap maxLimit, 2Gi"), (killed("1537Mi"), {}, "above the cap"),
    (killed("64Mi"), {"limit": "129Mi"}, "more than double"), (killed("64Mi"), {"limit": "3Gi"}, "above the cap"),
    (killed(""), {}, "no memory limit"), (killed("lots"), {}, "cannot be read"),
    (killed("64Mi", "-1"), {}, "cannot be read"),
    (killed(paused=True), {}, "paused"), (killed(observed=1), {}, "newest spec"), (killed("0"), {}, "not above"),
])
def test_it_refuses(objects: list[dict[str, Any]], params: dict[str, Any], words: str) -> None:
    assert words in refusal(ACTION, context(*objects), **params)


def test_a_limit_that_is_there_already_is_already_so() -> None:
    assert plan(ACTION, context(*killed("128Mi")), limit="128Mi") is None
    assert plan(ACTION, context(*killed("128Mi")), limit="100Mi") is None


@pytest.mark.parametrize(("extra", "words"), [
    (limit_range(type="Container", max={"memory": "80Mi"}), "LimitRange/lr allows 80Mi per Container, not 96Mi"),
    (limit_range(type="Pod", max={"memory": "100Mi"}), "LimitRange/lr allows 100Mi per Pod, not 112Mi"),
    (limit_range(type="Container", maxLimitRequestRatio={"memory": "2"}), "at most 2 times the request"),
    (quota("limits.memory", "1000Mi", "850Mi"), "leaves 150Mi of limits.memory, the rollout needs 160Mi more"),
    (node(memory="90Mi"), "no node that is known here has 96Mi"),
])
def test_it_refuses_what_would_not_fit(extra: dict[str, Any], words: str) -> None:
    assert words in refusal(ACTION, context(*killed(), extra))


@pytest.mark.parametrize("extra", [
    limit_range(type="Container", max={"memory": "96Mi"}), limit_range(type="Pod", max={"memory": "112Mi"}),
    limit_range(type="Container", maxLimitRequestRatio={"memory": "3"}),
    limit_range(type="PersistentVolumeClaim", max={}),
    quota("limits.memory", "1000Mi", "840Mi"), quota("requests.memory", "64Mi", "1Mi"), quota("pods", "2", "2"),
    node(memory="8Gi"), node(ready=False, memory="1Mi"),
])
def test_what_fits_is_planned(extra: dict[str, Any]) -> None:
    assert change_of(ACTION, context(*killed(), extra))


def test_rules_of_another_namespace_do_not_matter() -> None:
    elsewhere = limit_range(type="Container", max={"memory": "1Mi"})
    elsewhere["metadata"]["namespace"] = "other"
    assert change_of(ACTION, context(*killed(), elsewhere))


def test_a_guaranteed_pod_needs_room_in_the_quota_of_requests_too() -> None:
    tight = quota("requests.memory", "200Mi", "128Mi")
    assert "requests.memory" in refusal(ACTION, context(*killed("64Mi", "64Mi"), tight))


@pytest.mark.parametrize("params", [
    {"factor": "1"}, {"factor": "2.01"}, {"factor": "NaN"}, {"factor": "Infinity"}, {"factor": "x"}, {"factor": "-2"},
    {"limit": "x"}, {"limit": "0"}, {"maxLimit": "-1Gi"}, {"maxLimit": "1e99999999"}, {"percent": 10},
])
def test_parameters_that_cannot_be_meant_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.params.model_validate(params)


def test_it_is_healthy_once_rolled_out_without_another_kill() -> None:
    web, *_ = killed()
    now = deployment(generation=4, revision=2)
    new = replicaset(now)
    assert verification(ACTION, web, now, new, pod(new))[0] == "Healthy"


@pytest.mark.parametrize("how", [{"last_state": OOM}, {"state": OOM, "ready": False}])
def test_another_kill_with_the_new_limit_is_unhealthy_even_if_ready_again(how: dict[str, Any]) -> None:
    web, *_ = killed()
    now = deployment(generation=4, revision=2)
    new = replicaset(now)
    health, message = verification(ACTION, web, now, new, pod(new, restarts=1, **how))
    assert (health, "app was OOMKilled with the new limit" in message) == ("Unhealthy", True)


def test_a_kill_of_a_pod_of_the_old_revision_does_not_count() -> None:
    web, old, dead, _ = killed()
    now = deployment(generation=4, revision=2, ready=1)
    assert verification(ACTION, web, now, replicaset(now), old, dead)[0] == "Pending"


def test_a_rollout_that_fails_is_unhealthy() -> None:
    web, *_ = killed()
    late = [condition("Progressing", "False", "ProgressDeadlineExceeded", minutes=0)]
    assert verification(ACTION, web, deployment(generation=4, ready=1, conditions=late))[0] == "Unhealthy"
    assert verification(ACTION, web, None)[0] == "Unhealthy"


def test_hostile_objects_never_crash_it() -> None:
    web, current, dead, _ = killed("64Mi", "64Mi")
    assert_survives(ACTION, web, current, dead, node(), limit_range(type="Pod", max={"memory": "1Gi"}))
    assert_survives(ACTION, web, current, dead, quota("limits.memory", "1Gi", "0"))
