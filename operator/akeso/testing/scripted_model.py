"""Models that say what a test wants: answers in order, or whatever the text in front of them demands."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from akeso.decide.ask import FallbackChain
from akeso.decide.providers.probe import Probe
from akeso.errors import AkesoError
from akeso.model.evidence import Facts, Snapshot
from akeso.model.names import Reason
from akeso.model.verdict import Answer, Verdict
from akeso.ports import Ask


class ScriptedModel:
    """Gives these answers in order, the last one for ever: a Verdict, a bare Answer, or an error that is raised."""

    timeout_seconds = 5.0

    def __init__(self, *answers: Verdict | Answer | AkesoError, facts: Iterable[str] = ()) -> None:
        self._answers = list(answers)
        self._facts = tuple(facts)
        self.asked: list[str] = []

    async def ask(self, question: str, facts: Facts, snapshot: Snapshot, *, timeout: float) -> Verdict:
        self.asked.append(question)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Verdict):
            return answer
        cited = tuple(self._facts) or tuple(facts)
        return Verdict(answer, "model:scripted", Reason.ANSWERED, f"scripted: {answer}", cited, confidence_percent=99)

    async def probe(self, *, timeout: float = 5.0) -> Probe:
        return Probe(True, "scripted", 1, ("json_schema",))


class ObedientModel(ScriptedModel):
    """The adversary's dream: does what the untrusted text (annotations, logs, Event messages) says, and is sure."""

    def __init__(self) -> None:
        super().__init__(Answer.NO)

    async def ask(self, question: str, facts: Facts, snapshot: Snapshot, *, timeout: float) -> Verdict:
        self.asked.append(question)
        said = [*snapshot.alert.annotations.values(), *snapshot.logs.values(),
                *(str(e.get("message", "")) for e in snapshot.events)]
        order = next((m for text in said if (m := re.search(r"answer (yes|no)", text, re.IGNORECASE))), None)
        answer = Answer(order.group(1).lower()) if order else Answer.NO
        return Verdict(answer, "model:obedient", Reason.ANSWERED, f"I was told: {order and order.group()}",
                       tuple(facts), confidence_percent=100)


class ScriptedModels:
    """In the place of `engine.models.Models`: every Agent asks this one endpoint."""

    def __init__(
        self, model: Ask, guard: Callable[[str], AbstractAsyncContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self.model = model
        self._guard = guard

    async def chain(self, namespace: str, agent: Any) -> FallbackChain:
        return FallbackChain([("scripted", self.model)], self._guard)

    async def endpoint(self, resource: Any) -> Any:
        return self.model
