"""evict_pod: the preconditions of restart_pod, through the eviction API."""
from __future__ import annotations

import pytest
from tests.unit.actions.applying import assert_survives, change_of, refusal, verification

from akeso.sdk.action import Rule, Verb
from akeso.testing.builders import Raw, context, deployment, pod, replicaset
from akeso_actions.evict_pod import EvictPod

ACTION = EvictPod()
RS = replicaset(deployment())


def test_a_pod_is_evicted_not_deleted() -> None:
    change = change_of(ACTION, context(pod(RS, "1"), pod(RS, "2")))
    assert (change.verb, change.patch) == (Verb.EVICT, ())
    assert change.target.uid == pod(RS, "1")["metadata"]["uid"]


def test_it_may_not_delete_pods() -> None:
    assert ACTION.needs == (Rule("", "pods", ("get",)), Rule("", "pods/eviction", ("create",)))


@pytest.mark.parametrize(("target", "words"), [
    (pod(RS), "last ready replica"), (pod(ready=False), "bare pod"), (pod(RS, terminating=True), "being deleted"),
])
def test_it_refuses(target: Raw, words: str) -> None:
    assert words in refusal(ACTION, context(target))


def test_the_replacement_decides() -> None:
    old, new = pod(RS, "1", minutes_old=30), pod(RS, "new", minutes_old=0)
    assert verification(ACTION, old, old, RS, old)[0] == "Pending"
    assert verification(ACTION, old, None, RS, new, pod(RS, "2"))[0] == "Healthy"


def test_there_is_nothing_to_undo() -> None:
    target = pod(RS, ready=False)
    assert ACTION.undo(target, target, change_of(ACTION, context(target))) is None


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, pod(RS, "1"), pod(RS, "2"), RS)
