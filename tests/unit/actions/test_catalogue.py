"""The pack as a whole: what is registered, found by entry point, and how it is declared."""
from __future__ import annotations

from pathlib import Path

import pytest

import akeso_actions.catalogue
from akeso.act.registry import load
from akeso.sdk.action import EffectClass
from akeso_actions.catalogue import ACTIONS

FOLDER = Path(akeso_actions.catalogue.__file__).parent


def test_the_ten_actions_are_registered_without_problems() -> None:
    registry = load()
    assert registry.problems == ()
    assert registry.names() == tuple(sorted(action.name for action in ACTIONS))
    assert len(ACTIONS) == 10


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_one_action_one_file_one_test_file(action: object) -> None:
    name = type(action).name  # type: ignore[attr-defined]
    assert (FOLDER / f"{name}.py").is_file()
    assert (Path(__file__).parent / f"test_{name}.py").is_file()


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_parameter_has_a_description(action: object) -> None:
    schema = type(action).params.model_json_schema()  # type: ignore[attr-defined]
    assert schema["additionalProperties"] is False
    assert all(field.get("description") for field in schema.get("properties", {}).values())


def test_only_node_actions_need_a_cluster_workflow() -> None:
    assert {a.name for a in ACTIONS if a.cluster_scoped} == {"cordon_node", "uncordon_node"}
    assert all(a.effect is EffectClass.VERSIONED_WRITE for a in ACTIONS if a.cluster_scoped)
