"""What was decided, by whom, on which facts. A verdict never carries free text into an action."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a condition.

    by                  `cel`, `rules`, or the model's endpoint and name such as `model:local-slm/qwen2.5-1.5b`
    facts               names of the facts it rests on
    rules               ids of the rules that fired or contradicted
    confidence_percent  only where it is an empirical frequency or comes from label probabilities, else None
    """

    answer: Answer
    by: str
    reason: str       # a Reason constant
    message: str      # for people
    facts: Sequence[str] = ()
    rules: Sequence[str] = ()
    confidence_percent: int | None = None
    tried: Sequence[str] = ()  # endpoints that were asked before and did not answer


NO_ACTION = "no_action"
ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which action fits the facts: the name of a candidate, `no_action`, or `escalate` (abstention)."""

    action: str
    message: str
    facts: Sequence[str] = ()
    rules: Sequence[str] = ()
    contradicted: Sequence[str] = ()  # candidates that facts speak against
    target: str = ""                  # Kind/namespace/name that it is about; may be another object than the alert's
