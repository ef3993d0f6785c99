"""What a model is shown. A model selects; it never writes: see design/decisions.md C.1.

- Facts only, one JSON object a line, between two lines that carry a hash of the data: no text in it can know that.
- Facts of tier T3 (what anybody on the internet may have written) come as numbers and booleans, never as text. Lines
  of logs and alert annotations do not come at all; what they tell is in typed facts drawn from them.
- Text of tiers T1 and T2 is quoted as JSON, on one line, without control and bidi characters, and cut.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from akeso.model.evidence import Fact, Facts, Snapshot, Tier
from akeso.render import Templates, plain

MAX_FACTS = 150
MAX_TEXT = 200      # characters of one text value
MAX_PARTS = 16      # entries of one tuple
MAX_QUESTION = 2048  # as in the schema


@dataclass(frozen=True, slots=True)
class Prompt:
    """`names`: the facts that an answer may cite. `digest`: sha256 of all that is sent, for the decision record."""

    system: str
    user: str
    names: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.system}\0{self.user}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.system) + len(self.user)


def prompt(question: str, facts: Facts, snapshot: Snapshot) -> Prompt:
    """The same question and facts give the same prompt. Facts of better trust come first where there are too many."""
    shown = sorted(facts.values(), key=lambda f: (f.tier, f.name))
    lines = [_line(f) for f in shown if _value(f) is not None][:MAX_FACTS]
    names = tuple(f.name for f in shown if _value(f) is not None)[:MAX_FACTS]
    subject = {"alert": plain(snapshot.alert.name, 128), "target": str(snapshot.target or "unknown")}
    lines.insert(0, json.dumps(subject, ensure_ascii=False))
    boundary = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    context: Mapping[str, Any] = {"question": plain(question, MAX_QUESTION), "boundary": boundary, "lines": lines}
    return Prompt(templates().render("prompts/ask-system.j2", {}), templates().render("prompts/ask.j2", context), names)


@lru_cache(maxsize=1)
def templates() -> Templates:
    return Templates()


def schema(names: tuple[str, ...]) -> Mapping[str, Any]:
    """The closed list of answers. `evidence` is before `answer`, so that a model looks before it says."""
    cited = {"type": "string", "enum": list(names)} if names else {"type": "string", "enum": ["none"]}
    return {
        "type": "object", "additionalProperties": False, "required": ["evidence", "answer"],
        "properties": {
            "evidence": {"type": "array", "items": cited, "maxItems": 5},
            "answer": {"type": "string", "enum": ["yes", "no", "unsure"]},
        },
    }


def _line(fact: Fact) -> str:
    shown = {"fact": fact.name, "value": _value(fact), "source": plain(fact.source, 120), "trust": int(fact.tier)}
    return json.dumps(shown, ensure_ascii=False)


def _value(fact: Fact) -> Any:
    """The value as shown; None where it is not shown."""
    value = fact.value
    if isinstance(value, bool | int | float):
        return value
    if fact.tier is Tier.INTERNET:
        return None
    if isinstance(value, str):
        return plain(value, MAX_TEXT)
    return [plain(part, MAX_TEXT) for part in value[:MAX_PARTS]]
