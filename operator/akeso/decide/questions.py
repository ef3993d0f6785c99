"""Free-text questions, answered only where they match the shipped catalogue closely and alone; never guessed.

Matching is a cosine over hashed character n-grams, weighted by TF-IDF over the catalogue: no model, no download, the
same answer everywhere.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from akeso.decide import rules
from akeso.decide.facts.catalogue import entry
from akeso.decide.ruletable import Condition, conditions, read
from akeso.errors import InvalidInput
from akeso.model.evidence import Facts, Tier
from akeso.model.names import Reason
from akeso.model.verdict import Answer, Verdict

BUCKETS: Final = 1 << 18
THRESHOLD: Final = 0.5  # below: another question
MARGIN: Final = 0.06  # two different questions nearer to each other than this: not told apart
LONGEST: Final = 300  # characters; a longer text is no question of this catalogue
NEAREST: Final = 3  # named in the message
_NEGATIONS: Final = re.compile(
    r"\b(not|no|never|none|without|unless|except|instead|neither|nor|cannot|avoid|prevent|refuse|wrong|unsafe)\b|n't\b"
)

Vector = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Question:
    """One canonical question: `ask[0]` is what people are shown, the rest are paraphrases."""

    id: str
    ask: Sequence[str]
    right: str
    yes: Sequence[Condition]
    no: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Catalogue:
    questions: Sequence[Question]
    weights: Mapping[int, float]
    vectors: Sequence[tuple[Question, str, Vector]]
    neutral: frozenset[str] = frozenset()


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The shipped catalogue. Raises InvalidInput where it is wrong: call it at start."""
    return build(read("questions.yaml"))


def build(raw: Mapping[str, Any]) -> Catalogue:
    questions = [
        Question(
            q["id"],
            tuple(q["ask"]),
            q.get("right", ""),
            conditions(q.get("yes_when"), q["id"]),
            conditions(q.get("no_when"), q["id"]),
        )
        for q in raw["questions"]
    ]
    for question in questions:
        if not question.right and not question.yes:
            raise InvalidInput(
                "The question catalogue is wrong", why=f"{question.id} has neither `right` nor `yes_when`"
            )
        if any(
            (line := entry(c.fact)) is not None and line.tier is Tier.INTERNET for c in (*question.yes, *question.no)
        ):
            raise InvalidInput(
                "The question catalogue is wrong", why=f"{question.id} rests on what the internet wrote"
            )
    texts = [(q, text) for q in questions for text in q.ask]
    seen = Counter(gram for _, text in texts for gram in set(grams(text)))
    weights = {gram: math.log((1 + len(texts)) / (1 + n)) + 1 for gram, n in seen.items()}
    return Catalogue(
        questions,
        weights,
        [(q, text, vector(text, weights, len(texts))) for q, text in texts],
        frozenset(raw.get("neutral", ())),
    )


def answer(question: str, facts: Facts) -> Verdict:
    """yes, no or unsure to a question in free text, with the facts that it rests on. Confidence is never invented."""
    ranked = nearest(question)
    best = ranked[0]
    problem = _unmatched(question, ranked)
    if problem:
        known = "; ".join(f"“{q.ask[0]}”" for q, _, _ in ranked[:NEAREST])
        message = f"The rules cannot answer this question: {problem}. Nearest questions that they can answer: {known}"
        return Verdict(Answer.UNSURE, "rules", Reason.UNSUPPORTED, message)
    matched = best[0]
    if matched.right:
        return rules.right(matched.right, facts)
    return _judge(matched, facts)


def _unmatched(question: str, ranked: Sequence[tuple[Question, str, float]]) -> str:
    if len(question) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    matched, text, score = ranked[0]
    if score < THRESHOLD:
        return "it matches none that they know"
    if score - ranked[1][2] < MARGIN:
        return f"it is between “{matched.ask[0]}” and “{ranked[1][0].ask[0]}”"
    if bool(_NEGATIONS.search(plain(question))) != bool(_NEGATIONS.search(plain(text))):
        return "it says not, and the question that it resembles does not"
    strange = strange_words(question, matched)
    return f"“{strange[0]}” is not part of the question that it resembles" if strange else ""


def strange_words(question: str, matched: Question) -> list[str]:
    """Words that no wording of the matched question uses, by their first five letters: `lower` beside `higher`."""
    known = {word[:5] for text in matched.ask for word in plain(text).split()}
    return [w for w in plain(question).split() if w not in catalogue().neutral and w[:5] not in known]


def nearest(question: str) -> list[tuple[Question, str, float]]:
    """Every question with its nearest wording and the cosine, the nearest first."""
    known = catalogue()
    asked = vector(question[:LONGEST], known.weights, len(known.vectors))
    best: dict[str, tuple[Question, str, float]] = {}
    for q, text, wanted in known.vectors:
        score = round(sum(weight * wanted.get(gram, 0.0) for gram, weight in asked.items()), 6)
        if q.id not in best or score > best[q.id][2]:
            best[q.id] = (q, text, score)
    return sorted(best.values(), key=lambda found: (-found[2], found[0].id))


def plain(text: str) -> str:
    """Lower case, compatibility forms, words of letters and digits with single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return " ".join(re.findall(r"[\w']+", folded))


def grams(text: str) -> list[int]:
    """Hashed character n-grams (3 to 5) of every word with its boundaries, and the words themselves."""
    found = []
    for word in plain(text).split():
        padded = f" {word} "
        pieces = [padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1)]
        found += [zlib.crc32(piece.encode()) % BUCKETS for piece in (*pieces, word)]
    return found


def vector(text: str, weights: Mapping[int, float], documents: int) -> Vector:
    rare = math.log(1 + documents) + 1
    counted = Counter(grams(text))
    raw = {gram: (1 + math.log(n)) * weights.get(gram, rare) for gram, n in counted.items()}
    length = math.sqrt(sum(v * v for v in raw.values()))
    return {gram: v / length for gram, v in raw.items()} if length else {}


def _judge(question: Question, facts: Facts) -> Verdict:
    names = tuple(dict.fromkeys(c.fact for c in (*question.yes, *question.no) if c.fact in facts))
    because = rules.told(facts, names)
    if all(rules.holds(c, facts) is True for c in question.yes):
        return Verdict(
            Answer.YES, "rules", Reason.ANSWERED, f"{question.ask[0]} Yes: {because}.", names, (question.id,)
        )
    if any(rules.holds(c, facts) is True for c in question.no):
        return Verdict(
            Answer.NO, "rules", Reason.ANSWERED, f"{question.ask[0]} No: {because}.", names, (question.id,)
        )
    missing = [c.fact for c in (*question.yes, *question.no) if c.fact not in facts]
    why = f"not known: {', '.join(dict.fromkeys(missing))}" if missing else because
    return Verdict(
        Answer.UNSURE, "rules", Reason.UNCERTAIN, f"{question.ask[0]} Cannot tell: {why}.", names, (question.id,)
    )
