"""Templates to text: the only home of jinja2. The user's folder is looked at first, then the package.

Files are written by administrators; texts in a Workflow by its author. Both run in a sandbox with strict undefineds, on
plain data; an author's text is further held to an allow-list of syntax, since `{% set x = x ~ x %}` forty times is a
terabyte. What comes out is plain text: nothing is escaped, so it must never be put into HTML or a shell.
"""
from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

import akeso_templates
from akeso.errors import InvalidInput

MAX_SOURCE = 4096      # characters of a template in a Workflow, as in the schema
MAX_OUTPUT = 65_536    # characters; what is longer is cut off
MAX_VALUE = 4096       # characters that one filter may give back
MAX_LOOPS = 2

_PACKAGE = Path(akeso_templates.__file__).parent
_TEXT_METHODS = frozenset({"endswith", "lower", "startswith", "strip", "upper"})
_SYNTAX = (
    nodes.And, nodes.Compare, nodes.CondExpr, nodes.Const, nodes.Filter, nodes.For, nodes.Getattr, nodes.Getitem,
    nodes.If, nodes.Keyword, nodes.Name, nodes.Not, nodes.Operand, nodes.Or, nodes.Output, nodes.Template,
    nodes.TemplateData, nodes.Test,
)


def plain(value: object, limit: int = MAX_VALUE) -> str:
    """The text on one line, cut at `limit`, without control, bidi, zero-width, tag and surrogate characters."""
    text = str(value)[: 4 * limit]
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " if c in "\n\r\t" else "" for c in text)
    return " ".join(kept.split())[:limit]


class _Environment(ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):  # 'a'.ljust(10 ** 9)
            return attr in _TEXT_METHODS
        return super().is_safe_attribute(obj, attr, value)


class Templates:
    """Renders files of a folder of the user's, or of the package where that has none, and texts of Workflows."""

    def __init__(self, folder: Path | None = None) -> None:
        folders = [*([folder.expanduser()] if folder else []), _PACKAGE]
        self._files = _environment(FileSystemLoader(folders))

    def render(self, name: str, context: Mapping[str, Any], *, limit: int = MAX_OUTPUT) -> str:
        """A file such as `prompts/ask.j2`. Raises InvalidInput where it does not exist or needs what is not given."""
        return _rendered(lambda: self._files.get_template(name), context, name, limit)


def render_text(source: str, context: Mapping[str, Any], *, limit: int = MAX_VALUE) -> str:
    """A text that a Workflow's author wrote. Raises InvalidInput, with the line, where it cannot be used."""
    return _rendered(lambda: _compiled(source), context, "the template", limit)


def check_text(source: str) -> str | None:
    """What is wrong with an author's text, or None; for the admission of a Workflow."""
    try:
        _compiled(source)
    except TemplateError as error:
        return _problem(error)
    except InvalidInput as error:
        return error.why
    return None


def _environment(loader: FileSystemLoader | None = None) -> _Environment:
    env = _Environment(loader=loader, undefined=StrictUndefined, autoescape=False, trim_blocks=True,
                       lstrip_blocks=True, keep_trailing_newline=False)
    env.globals.clear()  # range(), namespace(), cycler() ...: nothing here needs them
    env.filters = {name: _capped(filter_) for name, filter_ in {
        "default": env.filters["default"], "first": env.filters["first"], "join": env.filters["join"],
        "last": env.filters["last"], "length": env.filters["length"], "lower": env.filters["lower"],
        "round": env.filters["round"], "tojson": env.filters["tojson"], "trim": env.filters["trim"],
        "upper": env.filters["upper"], "plain": plain}.items()}
    return env


def _capped(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with a text result cut, so that a chain of them cannot multiply without end."""
    @wraps(filter_)
    def capped(*args: Any, **kwargs: Any) -> Any:
        result = filter_(*args, **kwargs)
        return result[:MAX_VALUE] if isinstance(result, str) and filter_ is not plain else result

    return capped


@lru_cache(maxsize=256)
def _compiled(source: str) -> Template:
    if len(source) > MAX_SOURCE:
        raise InvalidInput("The template is too long", why=f"{len(source)} characters, {MAX_SOURCE} are allowed")
    try:
        tree = _AUTHORS.parse(source)
    except RecursionError as error:
        raise InvalidInput("The template is nested too deeply") from error
    forbidden = next((n for n in _walk(tree) if not isinstance(n, _SYNTAX)), None)
    if forbidden is not None:
        raise InvalidInput(
            "The template uses what texts of a Workflow may not use",
            why=f"line {forbidden.lineno}: {type(forbidden).__name__.lower()}",
            next_step="use only {{ values }}, filters, {% if %} and {% for %}")
    if sum(isinstance(n, nodes.For) for n in _walk(tree)) > MAX_LOOPS:
        raise InvalidInput("The template loops too much", why=f"more than {MAX_LOOPS} {{% for %}}")
    try:
        return _AUTHORS.from_string(tree)
    except (RecursionError, SyntaxError) as error:  # Python's own limits, met when jinja's code is compiled
        raise InvalidInput("The template is nested too deeply") from error


def _walk(tree: nodes.Template) -> Iterator[nodes.Node]:
    yield tree
    yield from tree.find_all(nodes.Node)


def _rendered(find: Callable[[], Template], context: Mapping[str, Any], name: str, limit: int) -> str:
    parts: list[str] = []
    length = 0
    try:
        for part in find().generate(dict(context)):
            parts.append(part)
            length += len(part)
            if length > limit:
                break
    except TemplateError as error:
        raise InvalidInput(f"{name} cannot be rendered", why=_problem(error),
                           next_step="correct the template; `akeso simulate` shows what it gives") from error
    except (TypeError, ValueError, ArithmeticError) as error:  # a filter or a comparison on a value that does not fit
        raise InvalidInput(f"{name} cannot be rendered", why=plain(error, 300)) from error
    return "".join(parts)[:limit]


def _problem(error: TemplateError) -> str:
    line = getattr(error, "lineno", None)
    return (f"line {line}: " if line else "") + plain(error.message or type(error).__name__, 300)


_AUTHORS = _environment()
