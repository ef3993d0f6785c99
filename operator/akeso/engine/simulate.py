"""What would happen for this alert: which Workflows match, which gate would refuse, which diff would be made.

Reads and dry-runs only. Uses the same modules as a real run, over a store that keeps nothing.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from akeso.decide.gates import BEFORE_ACTING, judge_all
from akeso.engine.advance import in_order
from akeso.engine.case import Case
from akeso.engine.intake import pinned, run_namespace
from akeso.engine.judge import decide
from akeso.engine.planning import action_of, gate_input, make_plan, target_of
from akeso.engine.services import Services
from akeso.errors import AkesoError, Refused
from akeso.ingest.matching import Matched, judge, why_nothing
from akeso.model.alert import Alert, Signal
from akeso.model.evidence import PastAction
from akeso.model.objects import ref_of
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord, StoryLine
from akeso.record.history import History


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the simulation. kind as in StoryLine; `ok` False where it would stop here."""

    kind: str
    message: str
    ok: bool = True


class _NothingKept:
    """Stands in for the ledger: answers about this one alert, remembers steps in memory, writes nothing."""

    def __init__(self, signal: Signal, inner: History | None) -> None:
        self._signal = signal
        self._inner = inner
        self.story: list[StoryLine] = []

    async def signal(self, _: str) -> Signal:
        return self._signal

    async def save(self, _run: str, _epoch: int, *, story: Sequence[StoryLine] = (), **_: Any) -> None:
        self.story += story

    async def save_evidence(self, *_: Any) -> None:
        return None

    async def lock_target(self, target_key: str, _run: str) -> str | None:
        return await self._inner.target_holder(target_key) if self._inner else None

    async def actions_of_agent(self, namespace: str, name: str, since: datetime) -> int:
        return await self._inner.actions_of_agent(namespace, name, since) if self._inner else 0

    async def past_actions(self, target_key: str, since: datetime, **_: Any) -> list[PastAction]:
        return await self._inner.past_actions(target_key, since) if self._inner else []


class _Silent:
    def mark(self, _: str) -> None:
        return None

    async def ensure(self, _: str) -> str:
        return ""

    def info(self, *_: Any, **__: Any) -> None:
        return None

    warning = info


async def simulate(services: Services, alert: Alert) -> list[Finding]:
    """One list of findings over all Workflows that match, highest priority first."""
    judged = judge(alert, services.definitions)
    if not judged.matched:
        why = "; ".join(why_nothing(alert, judged, services.definitions))
        return [Finding("alert", f"{alert.name} starts nothing: {why}. Next: kubectl get akwf -A, and compare "
                        f"`triggers[].alert.matchers` with {dict(alert.labels)}", ok=False)]
    findings = [Finding("alert", f"passed over: {why}", ok=False) for why in judged.passed_over]
    for one in judged.matched:
        resource = one.workflow
        findings.append(Finding("alert", f"{alert.name} matches {resource.key}, trigger {one.trigger.name}"))
        findings += await _one(services, alert, one)
    return findings


async def _one(services: Services, alert: Alert, one: Matched) -> list[Finding]:
    now = services.clock()
    signal = Signal("simulated", alert, now, now)
    store = _NothingKept(signal, services.history)
    quiet: Any = _Silent()
    dry = replace(services, store=store, history=store, projector=quiet, log=quiet)  # type: ignore[arg-type]
    run = Run("simulated", f"{one.workflow.name}-simulated", run_namespace(alert, one), signal.id, one.trigger.name,
              pinned(one.workflow), pinned(one.agent) if one.agent else {}, RunPhase.RUNNING, 1, now, started_at=now,
              steps=tuple(StepRecord(s.name) for s in one.workflow.spec.steps))
    case = Case.of(dry, run)
    resolution = await case.gather()
    if resolution.target is None:
        return [Finding("target", resolution.message, ok=False)]
    case.run = replace(case.run, target=resolution.target)
    findings = [Finding("target", " <- ".join(str(r) for r in resolution.chain))]
    for step in in_order(case.spec.steps):
        findings += await _step(case, store, step.name)
    return findings


async def _step(case: Case, store: _NothingKept, name: str) -> list[Finding]:
    seen = len(store.story)
    await decide(case, name)
    findings = [Finding(line.kind, line.message) for line in store.story[seen:]]
    step = case.step(name)
    if case.run.step(name).phase is not StepPhase.READY or step.action is None:
        return findings
    try:
        action, params = action_of(case, step)
        ref = target_of(case, step, action)
        target = await case.read(ref)
        if target is None:
            return [*findings, Finding("target", f"{ref} does not exist", ok=False)]
        given = await gate_input(case, action, params, target, ref_of(target, ref.kind))
        for gate, refusal in judge_all(BEFORE_ACTING, given).items():
            findings.append(Finding("gate", f"{gate}: {refusal or 'passes'}", ok=refusal is None))
        planned = await make_plan(case, step)
    except Refused as refusal:
        return [*findings, Finding("plan", f"{name}: refused: {refusal}", ok=False)]
    except AkesoError as error:
        return [*findings, Finding("plan", f"{name}: {error}", ok=False)]
    if planned is None:
        return [*findings, Finding("plan", f"{name}: already so, nothing to change")]
    plan, _ = planned
    return [*findings, Finding("plan", f"{name}: would {plan.change.summary}\n{plan.diff}".rstrip())]
