"""The patch of an effect: preconditions first, marker last, nothing of other people's overwritten."""
from __future__ import annotations

from typing import Any

import pytest

from akeso.act import diff, patches
from akeso.act.perform import action_id
from akeso.model.objects import DEPLOYMENT, NODE, Kind, ObjectRef
from akeso.model.plan import Change, EffectClass, Intent, Plan, Reversibility, Verb

SCALE = {"op": "add", "path": "/spec/replicas", "value": 2}


def plan(kind: Kind = DEPLOYMENT, generation: int = 4, patch: dict[str, Any] = SCALE, **more: Any) -> Plan:
    change = Change(Verb.PATCH, ObjectRef(kind, "shop", "web", "u"), "scale", [patch])
    return Plan(**{
        "action": "scale", "params": {}, "change": change,
        "uid": "u", "generation": generation, "resource_version": "10", "effect": EffectClass.SPEC_WRITE,
        "reversibility": Reversibility.EXACT, "service_account": "shop:fixer", **more})


def current(**annotations: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"uid": "now", "generation": 9, "resourceVersion": "33"}
    return {"metadata": meta | ({"annotations": annotations} if annotations else {}), "spec": {"replicas": 1}}


def test_uid_and_generation_are_those_that_were_decided_about() -> None:
    patch = patches.effect(Intent("id", "run", "step", 3, plan()), current(**{"akeso.dev/fence": "2", "other": "x"}))
    assert list(patch) == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/generation", "value": 4},
        {"op": "test", "path": "/metadata/annotations/akeso.dev~1fence", "value": "2"},
        SCALE,
        {"op": "add", "path": "/metadata/annotations/akeso.dev~1last-action", "value": "id"},
        {"op": "add", "path": "/metadata/annotations/akeso.dev~1fence", "value": "3.run"},
    ]


def test_an_object_without_annotations_gets_them_only_while_it_has_none() -> None:
    patch = patches.effect(Intent("id", "run", "step", 3, plan()), current())
    assert patch[2] == {"op": "test", "path": "/metadata/annotations", "value": None}
    assert patch[3] == {"op": "add", "path": "/metadata/annotations", "value": {}}
    assert patch[4] == SCALE


@pytest.mark.parametrize("versioned", [
    plan(NODE, generation=0), plan(effect=EffectClass.VERSIONED_WRITE),
    plan(patch={"op": "add", "path": "/metadata/labels/x", "value": "y"}),
])
def test_where_no_generation_moves_the_version_is_tested(versioned: Plan) -> None:
    patch = patches.effect(Intent("id", "run", "step", 3, versioned), current())
    assert patch[1] == {"op": "test", "path": "/metadata/resourceVersion", "value": "33"}


@pytest.mark.parametrize(("text", "epoch"), [
    ("7.run", 7), ("7.other", 0), ("7", 0), ("", 0), ("-1.run", 0), ("x.run", 0), ("٣.run", 0), ("9" * 40 + ".run", 0)])
def test_a_fence_is_an_epoch_of_this_run_or_none(text: str, epoch: int) -> None:
    assert patches.fence_of(current(**{"akeso.dev/fence": text}), "run") == epoch


def test_values_are_compared_at_their_pointers() -> None:
    obj = {"spec": {"a/b": [{"x": 1}], "m": None}}
    assert patches.at(obj, "/spec/a~1b/0/x") == 1
    assert patches.at(obj, "/spec/a~1b/1/x") is None
    assert patches.at(obj, "/spec/a~1b/x") is None
    assert patches.unchanged_values({"/spec/a~1b/0/x": 1, "/spec/new": None}, obj)
    assert not patches.unchanged_values({"/spec/a~1b/0/x": 2}, obj)
    assert not patches.unchanged_values({}, obj)  # nothing known is not "unchanged"


def test_an_effect_has_one_id_and_another_effect_another() -> None:
    first = action_id("run", "step", 0, plan())
    assert first == action_id("run", "step", 0, plan(diff="shown"))
    assert len(first) == 32
    others = {
        action_id("run2", "step", 0, plan()), action_id("run", "step2", 0, plan()), action_id("run", "step", 1, plan()),
        action_id("run", "step", 0, plan(generation=5)), action_id("run", "step", 0, plan(uid="v")),
        action_id("run", "step", 0, plan(service_account="shop:other")), action_id("run", "step", 0, plan(NODE)),
    }
    assert len(others | {first}) == 8


def test_a_diff_leaves_out_what_every_write_changes() -> None:
    before, after = current(a="1"), current(**{"a": "1", "akeso.dev/fence": "4", "akeso.dev/last-action": "id"})
    after["metadata"] |= {"resourceVersion": "34", "generation": 10, "managedFields": [{}]}
    after["status"] = {"x": 1}
    assert diff.unified(before, after) == ""
    after["spec"]["replicas"] = 2
    assert "-  replicas: 1\n+  replicas: 2" in diff.unified(before, after)


def test_a_hidden_value_that_changes_is_named_not_shown() -> None:
    def obj(value: str) -> dict[str, Any]:
        return {"spec": {"containers": [{"env": [{"name": "KEY", "value": value}]}], "password": value}}
    shown = diff.unified(obj("old-value"), obj("new-value"))
    assert "old-value" not in shown
    assert "new-value" not in shown
    assert "# a hidden value changes: .spec.containers[0].env[0].value" in shown
    assert "# a hidden value changes: .spec.password" in shown


def test_a_long_diff_is_cut() -> None:
    text = diff.unified({"spec": {}}, {"spec": {f"k{i}": i for i in range(2000)}})
    assert len(text.splitlines()) == diff.MAX_LINES + 1
