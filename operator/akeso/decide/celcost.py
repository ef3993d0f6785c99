"""What a condition may cost at most, told from its text before it ever runs.

The CEL library stops at about 10,000 iterations, but one iteration may be made arbitrarily dear: a regular expression
with counted repetition takes 0.15 s over 4 KB, concatenation in nested comprehensions took 7 s and 3 GiB (measured).
Neither can be interrupted from Python. So such shapes are refused at definition time, as the API server does.
"""
from __future__ import annotations

import re

MAX_MATCHES = 4         # 0.15 s each at worst
MAX_DEPTH = 2           # comprehensions within comprehensions
MAX_NESTED_LENGTH = 256  # characters of an expression with nested ones: bounds the work of one iteration
MAX_ADDITIONS = 8       # `+` in an expression with a comprehension; it copies strings and lists

_NOISE = re.compile(r"""
    //[^\n]*                                              # comment
    | [rR][bB]?("{3}|'{3}|"|').*?\1 | [bB][rR]("{3}|'{3}|"|').*?\2   # raw strings know no escapes
    | ("{3}|'{3}|"|')(?:\\.|.)*?\3                       # strings; the prefix of b"..." is left as a name
    """, re.DOTALL | re.VERBOSE)
_TOKEN = re.compile(r"""
    \.\s*(?:all|exists|exists_one|map|filter)\s*(\()
    | \b(matches)\s*(?=\() | \b(bytes|string)\s*(?=\() | ([()+])
    """, re.VERBOSE)


def too_dear(expression: str) -> str | None:
    """Why the expression may cost too much, or None. Expects one that compiles, so strings and brackets are closed."""
    stack: list[bool] = []  # for each open bracket: is it a comprehension's?
    deepest = matches = additions = copies_inside = matches_inside = 0
    for token in _TOKEN.finditer(_NOISE.sub(" ", expression)):
        macro, regex, copy, sign = token.groups()
        if macro or sign == "(":
            stack.append(bool(macro))
        elif sign == ")" and stack:
            stack.pop()
        inside = sum(stack)
        deepest = max(deepest, inside)
        matches += bool(regex)
        matches_inside += bool(regex and inside)
        copies_inside += bool(copy and inside)
        additions += sign == "+"
    return _problem(deepest, matches, matches_inside, copies_inside, additions, len(expression))


def _problem(
    deepest: int, matches: int, matches_inside: int, copies_inside: int, additions: int, length: int,
) -> str | None:
    if matches_inside or matches > MAX_MATCHES:
        return (f"`matches` may be used {MAX_MATCHES} times, and not inside all, exists, exists_one, map or filter: "
                "use contains, startsWith or endsWith there")
    if deepest > MAX_DEPTH:
        return f"comprehensions may be nested {MAX_DEPTH} deep at most"
    if deepest == MAX_DEPTH and length > MAX_NESTED_LENGTH:
        return f"with nested comprehensions {MAX_NESTED_LENGTH} characters are allowed, this one has {length}"
    if copies_inside or (deepest and additions > (MAX_ADDITIONS if deepest == 1 else 0)):
        return ("an expression with comprehensions may not convert with string() or bytes() inside them, and may add "
                f"{MAX_ADDITIONS} times, with nested ones not at all")
    return None
