"""uncordon_node: only what Akeso cordoned, and only a node that is well."""
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

from akeso.model.names import CORDONED_BY
from akeso.testing.builders import condition, context, node
from akeso_actions.cordon_node import CordonNode
from akeso_actions.uncordon_node import UncordonNode

ACTION = UncordonNode()
MARK = "/metadata/annotations/akeso.dev~1cordoned-by"


def ours(**more: Any) -> dict[str, Any]:
    return node(unschedulable=True, annotations={CORDONED_BY: "akeso"}, **more)


def test_both_the_field_and_the_mark_are_removed() -> None:
    change = change_of(ACTION, context(ours()))
    assert change.patch == [{"op": "remove", "path": "/spec/unschedulable"}, {"op": "remove", "path": MARK}]
    assert change.before == {"/spec/unschedulable": True, MARK: "akeso"}


def test_it_takes_back_exactly_what_cordon_node_did() -> None:
    cordoned = applied(node(), change_of(CordonNode(), context(node(), node("n2"))))
    freed = applied(cordoned, change_of(ACTION, context(cordoned)))
    del freed["metadata"]["annotations"]["akeso.dev/last-action"]
    assert freed == node()


def test_undo_cordons_it_again_as_ours() -> None:
    assert_undo_restores(ACTION, ours(), change_of(ACTION, context(ours())))


def test_a_schedulable_node_is_already_so() -> None:
    assert plan(ACTION, context(node())) is None


@pytest.mark.parametrize(("target", "words"), [
    (node(unschedulable=True), "not cordoned by Akeso"),
    (node(unschedulable=True, annotations={CORDONED_BY: "alice"}), "not cordoned by Akeso"),
    (ours(ready=False), "not Ready"),
    (ours(minutes=0.5), "not been Ready for 60 s"),
    (ours(conditions=[condition("DiskPressure", "True")]), "DiskPressure is True"),
])
def test_it_refuses(target: dict[str, Any], words: str) -> None:
    assert words in refusal(ACTION, context(target))


def test_how_long_it_must_have_been_ready_can_be_set() -> None:
    assert change_of(ACTION, context(ours(minutes=0.5)), readyForSeconds=30)
    assert "600 s" in refusal(ACTION, context(ours(minutes=5)), readyForSeconds=600)


def test_verification() -> None:
    assert verification(ACTION, ours(), node())[0] == "Healthy"
    assert verification(ACTION, ours(), ours())[0] == "Unhealthy"
    assert verification(ACTION, ours(), node(ready=False))[0] == "Unhealthy"
    assert verification(ACTION, ours(), None)[0] == "Unhealthy"


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, ours(conditions=[condition("DiskPressure", "False")]))
