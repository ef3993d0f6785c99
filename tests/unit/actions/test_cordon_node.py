"""cordon_node: one node at a time, never the last one, and never in a mass failure."""
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
from akeso.testing.builders import context, node
from akeso_actions.cordon_node import CordonNode

ACTION = CordonNode()
MARK = "/metadata/annotations/akeso.dev~1cordoned-by"
OURS = {CORDONED_BY: "akeso"}
ZONE = "topology.kubernetes.io/zone"


def nodes(count: int, ours: int = 0, lost: int = 0) -> list[dict[str, Any]]:
    """n1, which is well, and more: some cordoned by us, some not ready, the others well."""
    more = [node(f"c{i}", unschedulable=True, annotations=OURS) for i in range(ours)]
    more += [node(f"l{i}", ready=False) for i in range(lost)]
    return [node("n1"), *more, *(node(f"w{i}") for i in range(count - 1 - ours - lost))]


def test_it_is_set_unschedulable_and_marked_as_ours() -> None:
    change = change_of(ACTION, context(*nodes(3)))
    assert change.patch == [
        {"op": "add", "path": "/spec/unschedulable", "value": True}, {"op": "add", "path": MARK, "value": "akeso"},
    ]
    assert change.before == {"/spec/unschedulable": None, MARK: None}


@pytest.mark.parametrize("spec", [{}, {"unschedulable": False}, {"podCIDR": "10.0.0.0/24"}, None])
def test_undo_restores_the_node(spec: dict[str, Any] | None) -> None:
    first, *rest = nodes(3)
    first["spec"] = spec
    if spec is None:
        del first["spec"]
    assert_undo_restores(ACTION, first, change_of(ACTION, context(first, *rest)))


def test_a_node_that_somebody_uncordoned_since_is_left_alone() -> None:
    first, *rest = nodes(3)
    change = change_of(ACTION, context(first, *rest))
    now = applied(first, change)
    del now["spec"]["unschedulable"]
    assert ACTION.undo(first, now, change) is None


@pytest.mark.parametrize("annotations", [OURS, {}, {CORDONED_BY: "somebody"}])
def test_a_cordoned_node_is_already_so_whoever_did_it(annotations: dict[str, str]) -> None:
    assert plan(ACTION, context(node(unschedulable=True, annotations=annotations))) is None


@pytest.mark.parametrize(("seen", "words"), [
    (nodes(1), "last schedulable ready node"),
    ([node("n1"), node("n2", unschedulable=True), node("n3", unschedulable=True)], "last schedulable ready node"),
    ([node("n1"), node("n2", labels={"node-role.kubernetes.io/control-plane": ""})], "last schedulable ready node"),
    (nodes(4, ours=1), "already keeps 1 of 4 nodes cordoned (c0); its budget is 1"),
    (nodes(29, ours=2), "its budget is 2"),
    (nodes(5, lost=3), "3 of 5 nodes are not ready"),
    ([node(labels={"node-role.kubernetes.io/control-plane": ""}), node("n2")], "control-plane"),
    ([node(labels={"node-role.kubernetes.io/master": ""}), node("n2")], "control-plane"),
    ([node(labels={ZONE: "a"}), node("n2", labels={ZONE: "b"})], "last schedulable ready node of zone a"),
])
def test_it_refuses(seen: list[dict[str, Any]], words: str) -> None:
    assert words in refusal(ACTION, context(*seen))


@pytest.mark.parametrize("seen", [
    nodes(30, ours=2), nodes(4, lost=2),
    [node("n1", ready=False), node("n2")],
    [node("n1"), node("n2"), node("n3", unschedulable=True)],  # somebody else's cordon is not on our budget
    [node(labels={ZONE: "a"}), node("n2", labels={ZONE: "a"})],
])
def test_it_is_planned_within_its_budget(seen: list[dict[str, Any]]) -> None:
    assert change_of(ACTION, context(*seen))


def test_it_acts_on_the_whole_cluster_and_says_so() -> None:
    assert ACTION.cluster_scoped


def test_verification() -> None:
    before = node()
    assert verification(ACTION, before, node(unschedulable=True))[0] == "Healthy"
    assert verification(ACTION, before, node())[0] == "Unhealthy"
    assert verification(ACTION, before, None)[0] == "Unhealthy"


def test_hostile_objects_never_crash_it() -> None:
    assert_survives(ACTION, node(labels={ZONE: "a"}), node("n2", labels={ZONE: "a"}), node("n3", unschedulable=True))
