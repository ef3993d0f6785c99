"""The status of a WorkflowRun, from the ledger alone."""
from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from akeso.engine.status import status_of
from akeso.model.names import Reason
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord, StoryLine
from akeso.testing.builders import NOW

STEPS = (StepRecord("a", StepPhase.SUCCEEDED, "R", "m" * 3000, data={
    "applied": "x", "verdict": {"answer": "yes", "by": "rules", "confidencePercent": 90}}), StepRecord("b"))
RUN = Run("r", "r", "shop", "s", "t", {"generation": 7}, {}, RunPhase.RUNNING, 1, NOW, started_at=NOW, steps=STEPS)
LINE = StoryLine(NOW + timedelta(milliseconds=120), "plan", "X", "scaled" + "y" * 2000)


def conditions(run: Run) -> dict[str, str]:
    return {c["type"]: c["status"] for c in status_of(run, [LINE], [], NOW, 1)["conditions"]}


@pytest.mark.parametrize(("phase", "succeeded", "reconciling", "stalled", "ready"), [
    *((p, "Unknown", "True", "False", None) for p in RunPhase if not p.terminal),
    (RunPhase.SUCCEEDED, "True", "False", "False", "True"), (RunPhase.SUGGESTED, "True", "False", "False", "True"),
    *((p, "False", "False", "True", None) for p in RunPhase
      if p.terminal and p not in (RunPhase.SUCCEEDED, RunPhase.SUGGESTED)),
])
def test_each_phase_has_its_conditions(
    phase: RunPhase, succeeded: str, reconciling: str, stalled: str, ready: str | None,
) -> None:
    found = conditions(replace(RUN, phase=phase))
    assert (found["Succeeded"], found["Reconciling"], found["Stalled"], found.get("Ready")) == (
        succeeded, reconciling, stalled, ready)


def test_texts_stay_within_the_schema() -> None:
    body = status_of(RUN, [LINE] * 100, [], NOW, 3)
    assert len(body["steps"][0]["message"]) == 2048
    assert (len(body["story"]), len(body["story"][0]["message"])) == (64, 1024)
    assert body["story"][0]["at"].endswith(".120Z")


def test_what_people_look_for_is_there() -> None:
    body = status_of(replace(RUN, ended_at=NOW + timedelta(seconds=75)), [LINE], [], NOW, 3)
    assert (body["progress"], body["duration"], body["workflowGeneration"]) == ("1/2", "1m15s", 7)
    assert body["decision"]["confidencePercent"] == 90
    assert body["observedGeneration"] == 3


@pytest.mark.parametrize(("phase", "verified"), [
    (StepPhase.VERIFYING, "Unknown"), (StepPhase.SUCCEEDED, "True"), (StepPhase.ROLLED_BACK, "False")])
def test_verified_follows_the_last_step_that_acted(phase: StepPhase, verified: str) -> None:
    assert conditions(replace(RUN, steps=(replace(STEPS[0], phase=phase),)))["Verified"] == verified


def since(body: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["lastTransitionTime"] for c in body["conditions"]}


def test_a_transition_time_stays_where_nothing_changed() -> None:
    first = status_of(RUN, [LINE], [], NOW, 1)
    later = NOW + timedelta(hours=2)
    second = status_of(RUN, [LINE], first["conditions"], later, 1)
    assert since(second) == since(first)
    ended = status_of(replace(RUN, phase=RunPhase.FAILED, reason=Reason.FAILED), [LINE], first["conditions"], later, 1)
    assert since(ended)["Succeeded"] == "2026-11-20T14:00:00Z"
