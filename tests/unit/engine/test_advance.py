"""What comes next, for every phase: a table, and the rules that hold over all small workflows."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from akeso.engine.advance import BAD_ENDS, Do, due, in_order, next_move, summary
from akeso.model.api.kinds import WORKFLOW, parse
from akeso.model.api.workflow import WorkflowSpec
from akeso.model.names import Reason
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord
from akeso.testing.builders import NOW

ACTION = {"action": {"name": "restart_deployment"}}
TELL = {"notify": {"channel": "oncall"}}
CHECK = {"verify": {"alertResolved": True}}
IN_FLIGHT = (StepPhase.APPROVED, StepPhase.APPLYING, StepPhase.VERIFYING, StepPhase.UNDOING)


def workflow(*steps: Mapping[str, Any], **more: Any) -> WorkflowSpec:
    return parse(WORKFLOW, {"metadata": {"name": "w"}, "spec": {"steps": list(steps), **more}}).spec


def step(name: str, kind: Mapping[str, Any] = ACTION, **more: Any) -> dict[str, Any]:
    return {"name": name, **kind, **more}


def run(**phases: StepPhase) -> Run:
    steps = tuple(StepRecord(name, phase, reason=f"R{name}", message=f"m {name}") for name, phase in phases.items())
    return Run("r", "r", "shop", "s", "t", {}, {}, RunPhase.RUNNING, 1, NOW, started_at=NOW, steps=steps)


@pytest.mark.parametrize(("kind", "phase", "move"), [
    (ACTION, StepPhase.PENDING, Do.DECIDE), (TELL, StepPhase.PENDING, Do.DECIDE), (CHECK, StepPhase.PENDING, Do.DECIDE),
    (ACTION, StepPhase.READY, Do.PLAN), (TELL, StepPhase.READY, Do.NOTIFY), (CHECK, StepPhase.READY, Do.CHECK),
    (ACTION, StepPhase.PLANNED, Do.CONSENT), (ACTION, StepPhase.WAITING, Do.LISTEN),
    (ACTION, StepPhase.APPROVED, Do.APPLY), (ACTION, StepPhase.APPLYING, Do.APPLY),
    (ACTION, StepPhase.VERIFYING, Do.VERIFY), (CHECK, StepPhase.VERIFYING, Do.CHECK),
    (ACTION, StepPhase.UNDOING, Do.UNDO),
    *((ACTION, phase, Do.FINISH) for phase in StepPhase if phase.terminal),
])
def test_each_phase_has_one_move(kind: Mapping[str, Any], phase: StepPhase, move: Do) -> None:
    found = next_move(run(a=phase), workflow(step("a", kind)), NOW)
    assert (found.do, found.step) == (move, "" if move is Do.FINISH else "a")


def test_a_run_without_steps_begins() -> None:
    assert next_move(run(), workflow(step("a")), NOW).do is Do.BEGIN


def test_steps_go_in_the_order_of_their_dependencies_then_as_written() -> None:
    spec = workflow(step("c", dependsOn=["b"]), step("a"), step("b", dependsOn=["a"]), step("d"))
    assert [s.name for s in in_order(spec.steps)] == ["a", "b", "c", "d"]


def test_a_circle_is_an_error_that_names_it() -> None:
    spec = workflow(step("a", dependsOn=["b"]), step("b", dependsOn=["a"]), step("c"))
    with pytest.raises(ValueError, match="circle: a, b"):
        list(in_order(spec.steps))


def test_a_step_waits_for_success_and_is_skipped_where_there_was_none() -> None:
    spec = workflow(step("a", onError="Continue"), step("b", dependsOn=["a"]))
    for phase in (p for p in StepPhase if p.terminal):
        move = next_move(run(a=phase, b=StepPhase.PENDING), spec, NOW)
        assert move.do is (Do.DECIDE if phase is StepPhase.SUCCEEDED else Do.SKIP)
        assert move.step == "b"


@pytest.mark.parametrize("bad", BAD_ENDS)
def test_a_bad_end_stops_the_steps_unless_it_says_continue(bad: StepPhase) -> None:
    stop, go_on = (workflow(step("a", onError=e), step("b")) for e in ("Stop", "Continue"))
    state = run(a=bad, b=StepPhase.PENDING)
    assert (next_move(state, stop, NOW).do, next_move(state, go_on, NOW).do) == (Do.SKIP, Do.DECIDE)


@pytest.mark.parametrize("end", [p for p in StepPhase if p.terminal])
def test_finally_runs_whatever_happened(end: StepPhase) -> None:
    spec = workflow(step("a"), **{"finally": [step("f", TELL), step("g", TELL)]})
    assert next_move(run(a=end, f=StepPhase.PENDING, g=StepPhase.PENDING), spec, NOW).step == "f"
    assert next_move(run(a=end, f=StepPhase.SKIPPED, g=StepPhase.READY), spec, NOW).do is Do.NOTIFY
    assert next_move(run(a=end, f=StepPhase.SKIPPED, g=StepPhase.FAILED), spec, NOW).do is Do.FINISH


def test_past_the_deadline_what_is_left_is_skipped_but_not_what_is_under_way() -> None:
    spec = workflow(step("a"), step("b"), activeDeadlineSeconds=60, **{"finally": [step("f", TELL)]})
    late = NOW + timedelta(seconds=60)
    for phase in (p for p in StepPhase if not p.terminal):
        move = next_move(run(a=phase, b=StepPhase.PENDING, f=StepPhase.PENDING), spec, late)
        if phase in IN_FLIGHT:
            assert move.do in (Do.APPLY, Do.VERIFY, Do.UNDO)
        else:
            assert (move.do, move.step, move.reason) == (Do.SKIP, "a", Reason.DEADLINE_EXCEEDED)
    assert next_move(run(a=StepPhase.READY, b=StepPhase.PENDING, f=StepPhase.PENDING), spec,
                     late - timedelta(seconds=1)).do is Do.PLAN
    ended = run(a=StepPhase.ESCALATED, b=StepPhase.SKIPPED, f=StepPhase.PENDING)
    assert next_move(ended, spec, late).step == "f"


def everything() -> Iterator[tuple[Run, WorkflowSpec]]:
    """All phases of two steps and a finally step, in four shapes."""
    for depends, on_error in product(([], ["a"]), ("Stop", "Continue")):
        spec = workflow(step("a", onError=on_error), step("b", dependsOn=depends), **{"finally": [step("f", TELL)]})
        for a, b, f in product(StepPhase, StepPhase, (StepPhase.PENDING, StepPhase.READY, StepPhase.SUCCEEDED)):
            yield run(a=a, b=b, f=f), spec


def test_over_all_small_workflows_the_rules_hold() -> None:
    for state, spec in everything():
        move = next_move(state, spec, NOW)
        assert move == next_move(state, spec, NOW)  # asking twice changes nothing
        flying = [s.name for s in state.steps if s.phase in IN_FLIGHT]
        steps_left = any(not state.step(n).phase.terminal for n in "ab")
        if flying:
            assert move.step in flying
        if move.do is Do.FINISH:
            assert all(s.phase.terminal for s in state.steps)
        else:
            assert not state.step(move.step).phase.terminal
            assert (move.step == "f") == (not steps_left)


def test_over_all_small_workflows_every_run_comes_to_an_end() -> None:
    """Whatever each move brings, each one brings its step forward; so the chain of moves is finite."""
    forward = {Do.DECIDE: StepPhase.READY, Do.PLAN: StepPhase.PLANNED, Do.CONSENT: StepPhase.APPROVED,
               Do.LISTEN: StepPhase.APPROVED, Do.APPLY: StepPhase.VERIFYING, Do.VERIFY: StepPhase.SUCCEEDED,
               Do.UNDO: StepPhase.ROLLED_BACK, Do.NOTIFY: StepPhase.SUCCEEDED, Do.SKIP: StepPhase.SKIPPED}
    for state, spec in everything():
        for _ in range(20):
            move = next_move(state, spec, NOW)
            if move.do is Do.FINISH:
                break
            state = replace(state, steps=tuple(
                replace(s, phase=forward[move.do]) if s.name == move.step else s for s in state.steps))
        assert next_move(state, spec, NOW).do is Do.FINISH
        assert summary(state, spec)[0].terminal


@pytest.mark.parametrize(("a", "b", "on_error", "phase", "reason"), [
    (StepPhase.SUCCEEDED, StepPhase.SUCCEEDED, "Stop", RunPhase.SUCCEEDED, "Rb"),
    (StepPhase.SUCCEEDED, StepPhase.SKIPPED, "Stop", RunPhase.SUCCEEDED, "Ra"),
    (StepPhase.SKIPPED, StepPhase.SKIPPED, "Stop", RunPhase.ESCALATED, Reason.ESCALATED),
    (StepPhase.ROLLED_BACK, StepPhase.ESCALATED, "Stop", RunPhase.ROLLED_BACK, "Ra"),
    (StepPhase.SUCCEEDED, StepPhase.FAILED, "Stop", RunPhase.FAILED, "Rb"),
    (StepPhase.FAILED, StepPhase.SUCCEEDED, "Continue", RunPhase.SUCCEEDED, "Rb"),
    (StepPhase.REFUSED, StepPhase.SKIPPED, "Stop", RunPhase.REFUSED, "Ra"),
    (StepPhase.REFUSED, StepPhase.ESCALATED, "Stop", RunPhase.ESCALATED, "Rb"),
    (StepPhase.SUGGESTED, StepPhase.SKIPPED, "Stop", RunPhase.SUGGESTED, "Ra"),
])
def test_the_worst_step_decides_how_a_run_ended(
    a: StepPhase, b: StepPhase, on_error: str, phase: RunPhase, reason: str,
) -> None:
    found = summary(run(a=a, b=b), workflow(step("a", onError=on_error), step("b")))
    assert found[:2] == (phase, reason)


def test_a_workflow_that_only_tells_or_checks_succeeds() -> None:
    assert summary(run(a=StepPhase.SKIPPED), workflow(step("a", TELL)))[0] is RunPhase.SUCCEEDED


def test_nothing_that_fits_is_said_with_what_was_skipped_and_what_to_do() -> None:
    _, _, message = summary(run(a=StepPhase.SKIPPED), workflow(step("a")))
    assert "a: m a" in message
    assert "Next: a person must look" in message


def test_a_time_in_a_steps_data_is_read_back() -> None:
    assert due(StepRecord("a", data={"deadline": NOW.isoformat()}), "deadline") == NOW
    assert due(StepRecord("a"), "deadline") is None
