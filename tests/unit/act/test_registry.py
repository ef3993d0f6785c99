"""Only actions that declare everything register; one bad one never stops another."""
from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from tests.unit.act.samples import Sample

from akeso.act.registry import Registry, check, load
from akeso.sdk.action import Action, Context, EffectClass, Object, Params, Rule, Verification


class Pack:
    """An entry point whose value is given."""

    def __init__(self, value: object, name: str = "pack") -> None:
        self.name, self.value, self._value = name, f"{name}:ACTIONS", value

    def load(self) -> object:
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


def registry(*packs: Any) -> Registry:
    points: list[EntryPoint] = list(packs)
    return load(points)


def variant(**attributes: Any) -> Action[Any]:
    action: Action[Any] = type("Variant", (Sample,), attributes)()
    return action


class Undeclared(Action[Params]):
    def plan(self, ctx: Context, params: Params) -> None:
        return None

    def verify(self, before: Object, now: Object | None, related: Sequence[Object], params: Params) -> Verification:
        raise NotImplementedError


def test_a_complete_action_registers() -> None:
    found = registry(Pack([Sample()]))
    assert found.problems == ()
    assert found.names() == ("restart_sample",)
    assert found["restart_sample"].title == "Restarts a sample"
    with pytest.raises(KeyError):
        found["other"]


def test_an_action_without_declarations_is_refused_by_each_of_them() -> None:
    text = "; ".join(check(Undeclared()))
    for word in ("name", "title", "target_kinds", "effect", "reversibility", "needs"):
        assert f"`{word}`" in text


@pytest.mark.parametrize(("attributes", "problem"), [
    ({"name": "no_action"}, "name"), ({"name": "Restart-It"}, "name"), ({"name": "a" * 64}, "name"),
    ({"name": 3}, "name"),
    ({"target_kinds": "Deployment"}, "target_kinds"), ({"params": dict}, "params"), ({"effect": "C1"}, "effect"),
    ({"needs": (Rule("", "pods", ("*",)),)}, "verbs"), ({"needs": (Rule("", "pods", ()),)}, "verbs"),
    ({"needs": (Rule("", "users", ("impersonate",)),)}, "verbs"),
    ({"needs": (Rule("*", "*", ("patch",)),)}, "no action is given"),
    ({"needs": (Rule("", "secrets", ("get",)),)}, "no action is given"), ({"needs": ()}, "no permission to write"),
    ({"needs": (Rule("", "pods", ("get",)),)}, "no permission to write"),
    ({"effect": EffectClass.READ}, "needs to write although"),
])
def test_a_bad_declaration_is_refused_with_its_reason(attributes: dict[str, Any], problem: str) -> None:
    found = registry(Pack([variant(**attributes), Sample()]))
    assert found.names() == ("restart_sample",)
    assert len(found.problems) == 1
    assert problem in found.problems[0]


def test_a_pack_that_cannot_be_loaded_stops_no_other() -> None:
    found = registry(Pack(ImportError("no such module"), "broken"), Pack(7, "odd"), Pack([object(), Sample()], "good"))
    assert found.names() == ("restart_sample",)
    assert len(found.problems) == 3
    assert "no such module" in found.problems[0]


def test_a_name_is_registered_once() -> None:
    first, second = Sample(), Sample()
    found = registry(Pack([second], "b"), Pack([first], "a"))
    assert found["restart_sample"] is first
    assert "already" in found.problems[0]


def test_deny_wins_and_an_empty_allow_list_allows_nothing() -> None:
    found = registry(Pack([variant(name=n) for n in ("restart_pod", "restart_node", "evict_pod")]))
    assert found.allowed(["restart_*"]) == ("restart_node", "restart_pod")
    assert found.allowed(["*"], ["*_node"]) == ("evict_pod", "restart_pod")
    assert found.allowed([]) == ()
    assert found.allowed(["RESTART_pod"]) == ()


def test_rules_are_united_by_resource() -> None:
    needs = (Rule("apps", "deployments", ("patch", "list")), Rule("", "pods", ("get",)))
    more = variant(name="scale_sample", needs=needs)
    found = registry(Pack([Sample(), more]))
    assert found.rules_for(["restart_sample", "scale_sample"]) == (
        Rule("", "pods", ("get",)), Rule("apps", "deployments", ("get", "list", "patch")))


def test_the_built_in_pack_has_no_problems() -> None:
    assert load().problems == ()
