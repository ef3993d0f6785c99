"""Asking one endpoint after the other, and what must hold before an answer counts."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from akeso.decide import rules
from akeso.errors import AkesoError, ModelAway
from akeso.model.evidence import Facts, Snapshot, Tier
from akeso.model.names import Reason
from akeso.model.verdict import Answer, Verdict
from akeso.ports import Ask

Guard = Callable[[str], AbstractAsyncContextManager[None]]
"""Guards the call of an endpoint by its name; raises CircuitOpen. `act.breakers` supplies it."""

DEADLINE = 30.0  # seconds, for an endpoint that names none
SLACK = 1.0      # an endpoint keeps its own deadline; this is for one that does not


class FallbackChain:
    """Asks endpoints in order of preference until one answers.

    Whatever keeps an endpoint from answering (away, breaker open, answer outside the closed list) moves on to the next.
    An `unsure` is an answer: it does not.
    """

    def __init__(self, endpoints: Sequence[tuple[str, Ask]], guard: Guard) -> None:
        self._endpoints = endpoints
        self._guard = guard

    async def ask(
        self, question: str, facts: Facts, snapshot: Snapshot, *, action: str = "", min_confidence_percent: int = 0,
    ) -> Verdict:
        """A verdict, always: `unsure` with ModelUnavailable where nobody answered. `action`: what a yes would do."""
        failed: list[tuple[str, AkesoError]] = []
        for name, endpoint in self._endpoints:
            try:
                verdict = await self._one(name, endpoint, question, facts, snapshot)
            except AkesoError as error:
                failed.append((name, error))
                continue
            verdict = _believed(verdict, facts, action, min_confidence_percent)
            if verdict.by.startswith("model:"):
                verdict = replace(verdict, by=f"model:{name}/{verdict.by.removeprefix('model:')}")
            return replace(verdict, tried=tuple(n for n, _ in failed))
        why = "; ".join(f"{name}: {error}" for name, error in failed) or "no endpoint is named"
        return Verdict(Answer.UNSURE, "nobody", Reason.MODEL_UNAVAILABLE, f"nobody answered: {why}",
                       tried=tuple(n for n, _ in failed))

    async def _one(self, name: str, endpoint: Ask, question: str, facts: Facts, snapshot: Snapshot) -> Verdict:
        deadline = float(getattr(endpoint, "timeout_seconds", DEADLINE))
        async with self._guard(name):
            try:
                async with asyncio.timeout(deadline + SLACK):
                    return await endpoint.ask(question, facts, snapshot, timeout=deadline)
            except TimeoutError as error:
                raise ModelAway(why=f"no answer within {deadline:g} s") from error


def _believed(verdict: Verdict, facts: Facts, action: str, minimum: int) -> Verdict:
    """The verdict as far as it may be believed. Rules may overrule a model; a model never overrules a rule."""
    if verdict.by.startswith("model:"):
        verdict = _sure_enough(verdict, minimum)
    if not action or verdict.answer is not Answer.YES:
        return verdict
    against = rules.contradictions(action, facts)
    if against:
        return replace(verdict, answer=Answer.NO, reason=Reason.CONTRADICTED,
                       message=f"{verdict.message}; but facts speak against {action}: {'; '.join(against)}")
    if verdict.by.startswith("model:") and not _rests_on_trusted(verdict, facts):
        return replace(verdict, answer=Answer.UNSURE, reason=Reason.UNCERTAIN,
                       message=f"{verdict.message}; a change may not rest only on what anybody could have written")
    return verdict


def _sure_enough(verdict: Verdict, minimum: int) -> Verdict:
    """A model's answer below the minimum, or without probabilities where one is asked for, is unsure. The rules are
    deterministic, so the minimum does not concern them."""
    if minimum <= 0 or verdict.answer is Answer.UNSURE:
        return verdict
    confidence = verdict.confidence_percent
    if confidence is not None and confidence >= minimum:
        return verdict
    has = "the endpoint gives no probabilities" if confidence is None else f"its confidence is {confidence} %"
    return replace(verdict, answer=Answer.UNSURE, reason=Reason.UNCERTAIN,
                   message=f"{verdict.message}; {has}, {minimum} % are required")


def _rests_on_trusted(verdict: Verdict, facts: Facts) -> bool:
    """design/decisions.md C.1: text that anybody could have written is never the sole support of a change."""
    return any(facts[name].tier is not Tier.INTERNET for name in verdict.facts if name in facts)
