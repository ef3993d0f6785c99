"""Label matchers as Alertmanager's: =, !=, =~, !~, the expressions fully anchored.

Expressions run on RE2: they come from whoever may write a Workflow, and Python's own `re` can be made to run for ever.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import re2

from akeso.errors import InvalidInput
from akeso.model.api.trigger import Matcher

Matches = Callable[[Mapping[str, str]], bool]
"""Of the labels of an alert."""

_LITERALS: Final = re.compile(r"\w+(\|\w+)*", re.ASCII)
_MEMORY: Final = 1 << 20  # bytes for one compiled expression


def compile_matcher(matcher: Matcher) -> Matches:
    """The matcher as a function; a missing label counts as empty. Raises InvalidInput for a bad expression."""
    name, value = matcher.name, matcher.value
    if matcher.match_type == "=":
        return lambda labels: labels.get(name, "") == value
    if matcher.match_type == "!=":
        return lambda labels: labels.get(name, "") != value
    fullmatch = _compiled(name, value).fullmatch
    if matcher.match_type == "=~":
        return lambda labels: fullmatch(labels.get(name, "")) is not None
    return lambda labels: fullmatch(labels.get(name, "")) is None


def _compiled(name: str, expression: str) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise InvalidInput(
            f"The expression of matcher {name!r} is not valid", why=f"{expression[:120]!r}: {why[:200]}",
            next_step="write it in RE2 syntax, without look-around and back-references",
        ) from None


def alertnames(matchers: Sequence[Matcher]) -> Sequence[str]:
    """The only names of alerts that can match, for an index; empty where any may."""
    for matcher in matchers:
        if matcher.name == "alertname" and matcher.match_type == "=":
            return (matcher.value,)
        if matcher.name == "alertname" and matcher.match_type == "=~" and _LITERALS.fullmatch(matcher.value):
            return tuple(dict.fromkeys(matcher.value.split("|")))
    return ()


def problems(matchers: Sequence[Matcher]) -> list[str]:
    """What is wrong with these matchers, for the Ready condition of their Workflow."""
    found = []
    for matcher in matchers:
        try:
            compile_matcher(matcher)
        except InvalidInput as error:
            found.append(f"{error.what}: {error.why}")
    return found
