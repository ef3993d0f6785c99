"""The example of CONTRIBUTING.md is a working action, not a picture of one."""
from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from akeso.model.evidence import Snapshot
from akeso.model.objects import ObjectRef
from akeso.sdk.action import Action, Context, Health, Params

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text()
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def example() -> tuple[Action[Params], str]:
    block = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert block
    module = ModuleType("contributing_example")
    exec(compile(block[1], "CONTRIBUTING.md", "exec"), module.__dict__)
    action: Action[Params] = module.__dict__["PauseRollout"]()
    return action, block[1]


def context(action: Action[Params], **spec: Any) -> Context:
    ref = ObjectRef(action.target_kinds[0], "shop", "checkout", "uid-1")
    target = {"metadata": {"name": "checkout"}, "spec": spec}
    return Context(now=NOW, ref=ref, target=target, snapshot=Snapshot(NOW, ()))


def test_the_example_action_has_at_most_thirty_five_lines_with_its_imports() -> None:
    _, source = example()
    assert len([line for line in source.splitlines() if line.strip()]) <= 35


def test_the_example_action_plans_verifies_and_is_undone() -> None:
    action, _ = example()
    ctx = context(action)
    change = action.plan(ctx, Params())
    assert change is not None
    assert change.patch == [{"op": "add", "path": "/spec/paused", "value": True}]
    paused = {"spec": {"paused": True}}
    assert action.verify(ctx.target, paused, (), Params()).health is Health.HEALTHY
    assert action.verify(ctx.target, None, (), Params()).health is Health.UNHEALTHY
    undo = action.undo(ctx.target, paused, change)
    assert undo is not None
    assert undo.patch == [{"op": "remove", "path": "/spec/paused"}]


def test_the_example_action_leaves_a_paused_deployment_alone() -> None:
    action, _ = example()
    assert action.plan(context(action, paused=True), Params()) is None
