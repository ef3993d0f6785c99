"""The independent adversary: hundreds of decisions over other people's ways to write a fault; none does harm."""
from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.scenarios import adversary

from akeso.engine import evaluate, scenario

SEEDS = (11, 12, 13, 14, 15, 16)
VARIANTS = 4
FLOOR = 0.97  # reached: 0.990 over six seeds of ten variants; what is missing there lacks the evidence
REMEDIES = evaluate.registered()


def decided(seed: int, variants: int = VARIANTS) -> list[evaluate.Result]:
    made = adversary.scenarios(seed, variants)
    return [evaluate.evaluate(asyncio.run(scenario.build(raw)), REMEDIES) for raw in made]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_decision_does_harm_or_is_needless_and_most_are_right(seed: int) -> None:
    results = decided(seed)
    wrong = [r for r in results if r["result"] in (evaluate.HARMFUL, evaluate.NEEDLESS)]
    assert wrong == []
    counts = Counter(r["result"] for r in results)
    assert counts[evaluate.RIGHT] / len(results) >= FLOOR, [
        (r["title"], r["message"]) for r in results if r["result"] != evaluate.RIGHT]


def test_every_row_is_decided_right_in_most_of_its_variants() -> None:
    """No row is carried by the others: abstaining is for missing evidence, not for a kind of fault."""
    results = decided(SEEDS[0], 8)
    right = Counter(r["id"] for r in results if r["result"] == evaluate.RIGHT)
    assert [row for row in adversary.ROWS if right[row] < 5] == []


def test_the_same_seed_makes_the_same_scenarios() -> None:
    assert list(adversary.scenarios(3, 1)) == list(adversary.scenarios(3, 1))
