"""Loads queries.sql: each statement has a name and a sentence."""
from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- name: (\w+)\n((?:-- .+\n)+)", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """All statements by name. Raises ValueError for a statement without a sentence or with a name used twice."""
    return parse(files("akeso.record").joinpath("queries.sql").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, str]:
    """Split a file of named statements; comments between a head and its statement are its sentence."""
    heads = list(_HEAD.finditer(text))
    if len(heads) != text.count("-- name:"):
        raise ValueError("every statement needs a `-- name: snake_case` line and a sentence below it")
    found: dict[str, str] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        if head[1] in found:
            raise ValueError(f"two statements are named {head[1]}")
        found[head[1]] = text[head.end():following.start() if following else len(text)].strip().rstrip(";")
    return found
