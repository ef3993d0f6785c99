"""The embedded default: the rules answer what their catalogue of questions holds, and abstain on all else."""
from __future__ import annotations

from akeso.decide import questions
from akeso.decide.providers.probe import Probe
from akeso.model.evidence import Facts, Snapshot
from akeso.model.verdict import Verdict


class Rules:
    """An `Ask` without a network: the same facts give the same answer."""

    timeout_seconds = 5.0

    async def ask(self, question: str, facts: Facts, snapshot: Snapshot, *, timeout: float) -> Verdict:
        return questions.answer(question, facts)

    async def probe(self, *, timeout: float = 5.0) -> Probe:
        return Probe(True, "rules answer in the operator itself; they are not a language model", 0, ("deterministic",))
