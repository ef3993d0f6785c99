"""restart_pod: the last ready replica is never deleted, nor a pod that nobody would bring back."""
from __future__ import annotations

from typing import Any

import pytest
from tests.unit.actions.applying import assert_survives, change_of, refusal, verification

from akeso.sdk.action import Change, Verb
from akeso.testing.builders import context, deployment, pod, replicaset, statefulset, waiting
from akeso_actions.restart_pod import RestartPod

ACTION = RestartPod()
RS = replicaset(deployment())
DB = statefulset()


def other(kind: str, *, ready: bool = True) -> dict[str, Any]:
    controlled = pod(RS, ready=ready)
    controlled["metadata"]["ownerReferences"][0]["kind"] = kind
    return controlled


def test_a_pod_that_is_not_ready_is_deleted() -> None:
    change = change_of(ACTION, context(pod(RS, ready=False)))
    assert (change.verb, change.patch, change.body) == (Verb.DELETE, (), {})
    assert change.target.uid == pod(RS)["metadata"]["uid"]


def test_a_ready_pod_is_deleted_where_another_is_ready() -> None:
    assert change_of(ACTION, context(pod(RS, "1"), pod(RS, "2")))


def test_the_last_ready_replica_is_never_deleted() -> None:
    assert "last ready replica" in refusal(ACTION, context(pod(RS, "1")))
    assert "last ready replica" in refusal(ACTION, context(pod(RS, "1"), pod(RS, "2", ready=False)))
    assert "last ready replica" in refusal(ACTION, context(pod(RS, "1"), pod(RS, "2", terminating=True)))
    assert "last ready replica" in refusal(ACTION, context(pod(RS, "1"), pod(DB, "0")))


@pytest.mark.parametrize(("target", "words"), [
    (pod(ready=False), "bare pod"), (other("Node", ready=False), "static pod"),
    (other("Job", ready=False), "controlled by a Job"),
    (other("Whatever", ready=False), "controlled by a Whatever"), (pod(RS, terminating=True), "being deleted"),
    (pod(RS, ready=False, phase="Succeeded"), "ended well"), (other("DaemonSet"), "serves its node"),
])
def test_it_refuses(target: dict[str, Any], words: str) -> None:
    assert words in refusal(ACTION, context(target, pod(RS, "2")))


def test_it_refuses_a_mirror_pod() -> None:
    mirror = pod(RS, ready=False)
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert "static pod" in refusal(ACTION, context(mirror))


def test_it_refuses_a_pod_without_uid() -> None:
    nameless = pod(RS, ready=False)
    del nameless["metadata"]["uid"]
    assert "no uid" in refusal(ACTION, context(nameless))


def test_an_unready_daemon_pod_is_deleted() -> None:
    assert change_of(ACTION, context(other("DaemonSet", ready=False)))


def test_a_member_of_a_statefulset_goes_only_while_all_others_are_ready() -> None:
    assert change_of(ACTION, context(pod(DB, "0"), pod(DB, "1"), pod(DB, "2")))
    assert "a quorum might be lost" in refusal(ACTION, context(pod(DB, "0"), pod(DB, "1"), pod(DB, "2", ready=False)))
    assert change_of(ACTION, context(pod(DB, "0", ready=False), pod(DB, "1"), pod(DB, "2")))


def test_there_is_nothing_to_undo() -> None:
    target = pod(RS, ready=False)
    change: Change = change_of(ACTION, context(target))
    assert ACTION.undo(target, target, change) is None


OLD = pod(RS, "1", ready=False, minutes_old=30)
NEW = pod(RS, "new", minutes_old=0)
PEER = pod(RS, "2", minutes_old=40)


@pytest.mark.parametrize(("now", "related", "health"), [
    (OLD, [RS, OLD, PEER], "Pending"),                                       # still there
    (pod(RS, "1", terminating=True), [RS, PEER, NEW], "Pending"),            # on its way out
    (None, [RS, PEER], "Pending"),                                           # gone, no replacement yet
    (None, [PEER], "Pending"),                                               # likewise, the ReplicaSet not handed in
    (None, [RS, PEER, pod(RS, "new", minutes_old=0, ready=False)], "Pending"),
    (None, [RS, PEER, NEW], "Healthy"),
    (None, [PEER, NEW], "Healthy"),
    (None, [RS, PEER, pod(RS, "new", minutes_old=30)], "Healthy"),           # created in the same second
    (None, [PEER, NEW, pod(DB, "0", ready=False)], "Healthy"),               # another controller's pod does not count
    (None, [RS, PEER, pod(RS, "new", minutes_old=0, ready=False, restarts=2, state=waiting())], "Unhealthy"),
    (None, [replicaset(deployment(replicas=0))], "Healthy"),                 # scaled to 0 meanwhile
])
def test_verification(now: dict[str, Any] | None, related: list[dict[str, Any]], health: str) -> None:
    assert verification(ACTION, OLD, now, *related)[0] == health


def test_the_replacement_in_a_statefulset_has_the_same_name_and_another_uid() -> None:
    old, new = pod(DB, "0", minutes_old=30), pod(DB, "0", minutes_old=0, uid="new")
    unready = pod(DB, "0", minutes_old=0, uid="new", ready=False)
    assert verification(ACTION, old, new, pod(DB, "1"), new)[0] == "Healthy"
    assert verification(ACTION, old, unready, pod(DB, "1"), unready)[0] == "Pending"
    assert verification(ACTION, old, None, pod(DB, "1", minutes_old=0))[0] == "Pending"
    at_once = pod(DB, "0", minutes_old=30, uid="new")
    assert verification(ACTION, old, at_once, pod(DB, "1"), at_once)[0] == "Healthy"


def test_the_replacement_in_a_daemonset_is_on_the_same_node() -> None:
    def daemon(suffix: str, node: str, minutes: float) -> dict[str, Any]:
        built = pod(RS, suffix, node=node, minutes_old=minutes)
        built["metadata"]["ownerReferences"][0]["kind"] = "DaemonSet"
        return built

    old = daemon("a", "n1", 30)
    assert verification(ACTION, old, None, daemon("b", "n2", 0))[0] == "Pending"
    assert verification(ACTION, old, None, daemon("b", "n2", 60), daemon("c", "n1", 0))[0] == "Healthy"


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, pod(RS, "1"), pod(RS, "2"), RS)
    assert_survives(ACTION, pod(DB, "0", ready=False, restarts=3, state=waiting()), pod(DB, "1"))
