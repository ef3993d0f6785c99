"""Reads a chat completion. Everything in it is hostile; only the label and known names of facts come out."""
from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from akeso.errors import ModelAnswerUnusable

MAX_CONTENT = 8192


class TopToken(BaseModel):
    token: str
    logprob: float


class TokenLogprob(TopToken):
    top_logprobs: list[TopToken] = []


class Logprobs(BaseModel):
    content: list[TokenLogprob] | None = None


class Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class ChatChoice(BaseModel):
    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Completion(BaseModel):
    choices: list[ChatChoice] = Field(min_length=1)


class Reply(BaseModel):
    """The schema that the model was held to, checked again here whatever the server promised."""

    model_config = ConfigDict(extra="forbid", strict=True)
    evidence: list[str] = Field(max_length=64)
    answer: Literal["yes", "no", "unsure"]


LABELS = ("yes", "no", "unsure")
_ANSWER_KEY = re.compile(r'"answer"\s*:\s*"')


def read(body: bytes, names: Sequence[str]) -> tuple[Literal["yes", "no", "unsure"], tuple[str, ...], int | None]:
    """Label, cited facts (unknown names dropped) and confidence in percent or None. Raises ModelAnswerUnusable."""
    try:
        choice = Completion.model_validate_json(body).choices[0]
    except ValidationError as error:
        raise ModelAnswerUnusable("The model's server did not send a chat completion", why=_first(error)) from error
    if choice.message.refusal:
        raise ModelAnswerUnusable("The model refused to answer")
    if choice.finish_reason != "stop":
        raise ModelAnswerUnusable("The model did not finish", why=f"finish_reason {choice.finish_reason!r:.40}")
    content = choice.message.content or ""
    if len(content) > MAX_CONTENT:
        raise ModelAnswerUnusable("The model answered too much", why=f"{len(content)} characters")
    try:
        reply = Reply.model_validate(json.loads(content, object_pairs_hook=_once))
    except ValidationError as error:
        raise ModelAnswerUnusable(why=_first(error)) from error
    except (ValueError, RecursionError) as error:
        raise ModelAnswerUnusable(why="it is not the JSON that was asked for") from error
    cited = tuple(n for n in dict.fromkeys(reply.evidence) if n in names)
    return reply.answer, cited, _confidence(content, reply.answer, choice.logprobs)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that comes twice says two things: neither is taken."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _first(error: ValidationError) -> str:
    """Where and why, without echoing what the model wrote."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['type']}"[:200]


def _confidence(content: str, answer: str, logprobs: Logprobs | None) -> int | None:
    """The label's share among the labels at the token where they part, renormalised: servers that apply a grammar after
    computing probabilities spread some over other tokens. Not calibrated; None where the tokens do not add up."""
    tokens = logprobs.content if logprobs else None
    keys = list(_ANSWER_KEY.finditer(content))
    if not tokens or not keys or "".join(t.token for t in tokens).strip() != content.strip():
        return None
    start = keys[-1].end() + len("".join(t.token for t in tokens)) - len("".join(t.token for t in tokens).lstrip())
    start -= len(content) - len(content.lstrip())
    end = 0
    for token in tokens:
        before, end = end, end + len(token.token)
        if end > start:
            return _share(answer, token, start - before)
    return None


def _share(answer: str, token: TokenLogprob, skip: int) -> int | None:
    """`skip`: characters of the token that come before the label, such as the opening quote."""
    lead = token.token[:skip]
    mass = dict.fromkeys(LABELS, 0.0)
    for top in token.top_logprobs:
        rest = top.token[skip:].rstrip('"}\n ')
        label = next((one for one in LABELS if rest and one.startswith(rest)), None)
        if label and top.token.startswith(lead) and math.isfinite(top.logprob) and top.logprob <= 0:
            mass[label] += math.exp(top.logprob)
    total = sum(mass.values())
    return round(100 * mass[answer] / total) if total > 0 else None
