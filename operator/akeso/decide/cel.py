"""Conditions in CEL: the only home of cel-expr-python. Three-valued: an error or an absent fact is unsure, never no.

The library answers an evaluation error with a *Value* of type ERROR instead of raising, limits the iterations of
comprehensions by itself (about 10,000, not configurable) and holds the GIL while it works (design/engine.md 5). So the
inputs are bounded here: a map entry that is too large, or not representable in CEL, is left out. Using it is then an
error, hence unsure; `has()` says false of it. Nothing is ever cut short, since half a list would give wrong answers.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from akeso.decide.celcost import too_dear
from akeso.errors import InvalidInput
from akeso.model.names import Reason
from akeso.model.verdict import Answer, Verdict

MAX_EXPRESSION = 1024   # characters, as in the schema
MAX_STRING = 4096       # characters of one text; RE2 is linear, but it runs in every round of a comprehension
MAX_ITEMS = 100         # entries of one list or map: two nested comprehensions stay within the library's budget
MAX_VALUES = 10_000     # values in all variables together
MAX_TEXT = 131_072      # characters of all of them together
MAX_DEPTH = 24          # a Pod spec is about 12 deep
MAX_INT = 2**63 - 1     # a larger one makes CEL refuse the whole map it is in

_NAMED = {"alert": cel.Type.DYN, "facts": cel.Type.DYN, "target": cel.Type.DYN, "steps": cel.Type.DYN,
          "params": cel.Type.STRING}
_POSITION = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON may carry lone ones, CEL's strings cannot
_FACT = re.compile(r"""\bfacts(?:\.([A-Za-z_]\w*)|\[\s*['"]([^'"]+)['"]\s*\])""")


class Conditions:
    """Compiles and evaluates conditions over `alert`, `facts`, `target`, `steps` and `params`."""

    def __init__(self, cache_size: int = 512) -> None:
        variables = {name: cel.Type.Map(cel.Type.STRING, values) for name, values in _NAMED.items()}
        self._env = cel.NewEnv(variables=variables)
        self._compiled = lru_cache(maxsize=cache_size)(self._compile)

    def check(self, expression: str) -> str | None:
        """What is wrong with the expression, with its position where there is one; None where it can be used."""
        try:
            self._compiled(expression)
        except InvalidInput as error:
            return error.why
        return None

    def evaluate(self, expression: str, variables: Mapping[str, Any]) -> Verdict:
        """yes, no, or unsure where it cannot be told. Never raises for what a user or an alert can cause."""
        facts = _facts_in(expression, variables)
        try:
            program = self._compiled(expression)
        except InvalidInput as error:
            return Verdict(Answer.UNSURE, "cel", Reason.CONDITION_INVALID, error.why)
        try:
            value = program.eval(data=_bounded(variables))
        except RuntimeError as error:  # the budget, or what the library's own conversion cannot carry
            return Verdict(Answer.UNSURE, "cel", Reason.UNCERTAIN, f"the condition was stopped: {_short(error)}", facts)
        if value.type() == cel.Type.ERROR:
            message = f"the condition cannot be told: {_short(value.plain_value())}"
            return Verdict(Answer.UNSURE, "cel", Reason.UNCERTAIN, message, facts)
        if value.type() != cel.Type.BOOL:
            message = f"the condition gives {value.type().name().lower()}, not true or false"
            return Verdict(Answer.UNSURE, "cel", Reason.CONDITION_INVALID, message, facts)
        if value.plain_value():
            return Verdict(Answer.YES, "cel", Reason.ANSWERED, "the condition holds", facts)
        return Verdict(Answer.NO, "cel", Reason.CONDITION_FALSE, "the condition does not hold", facts)

    def _compile(self, expression: str) -> cel.Expression:
        """Raises InvalidInput with the position in `why`."""
        if len(expression) > MAX_EXPRESSION:
            raise InvalidInput(why=f"the expression has {len(expression)} characters, {MAX_EXPRESSION} are allowed")
        if _SURROGATE.search(expression):
            raise InvalidInput(why="the expression is not valid Unicode")
        try:
            program = self._env.compile(expression)
        except RuntimeError as error:
            found = _POSITION.search(str(error))
            where = f"line {found[1]}, column {found[2]}: {found[3]}" if found else str(error)
            raise InvalidInput(why=_short(where)) from error
        kind = program.return_type()
        if kind not in (cel.Type.BOOL, cel.Type.DYN):
            raise InvalidInput(why=f"the expression gives {kind.name().lower()}, not true or false")
        dear = too_dear(expression)
        if dear:
            raise InvalidInput(why=dear)
        return program


class _Unusable(Exception):
    """A value that conditions may not see: too large, too deep, or not a CEL value."""


def _facts_in(expression: str, variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The facts that the expression names and that are known, for the explanation."""
    names = {a or b for a, b in _FACT.findall(expression[:MAX_EXPRESSION])}
    return tuple(sorted(names & set(variables.get("facts") or {})))


def _short(text: object) -> str:
    """One printable line of at most 300 characters: values of hostile alerts are echoed in CEL's messages."""
    line = " ".join(str(text).split())
    return "".join(c for c in line if c.isprintable())[:300]


def _bounded(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The declared variables (empty where not given), without the entries that are too large."""
    budget = [MAX_VALUES, MAX_TEXT]
    return {name: _copy_map(variables.get(name) or {}, budget, MAX_DEPTH) for name in _NAMED}


def _copy_map(value: Mapping[Any, Any], budget: list[int], depth: int) -> dict[str, Any]:
    copy: dict[str, Any] = {}
    for key, entry in value.items():
        try:
            copy[_copy(str(key), budget, depth)] = _copy(entry, budget, depth - 1)
        except _Unusable:
            continue
    return copy


def _copy(value: Any, budget: list[int], depth: int) -> Any:
    """Raises _Unusable; the nearest enclosing map then lacks the entry."""
    budget[0] -= 1
    budget[1] -= len(value) if isinstance(value, str) and len(value) <= MAX_STRING else 0
    if min(budget) < 0 or depth < 0:
        raise _Unusable
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) <= MAX_INT:
        return value
    if isinstance(value, str) and len(value) <= MAX_STRING and not _SURROGATE.search(value):
        return value
    if isinstance(value, Mapping) and len(value) <= MAX_ITEMS:
        return _copy_map(value, budget, depth)
    if isinstance(value, list | tuple) and len(value) <= MAX_ITEMS:
        return [_copy(item, budget, depth - 1) for item in value]
    raise _Unusable
