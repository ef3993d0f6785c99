"""Templates: the user's folder first, then the package; authors' texts are held to an allow-list."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from akeso.errors import InvalidInput
from akeso.render import MAX_VALUE, Templates, check_text, plain, render_text

SEEN: dict[str, Any] = {"run": {"name": "r1", "phase": "Failed"}, "steps": {"a": {"message": "m"}}, "list": ["x", "y"]}


@pytest.mark.parametrize(("source", "text"), [
    ("{{ run.name }} is {{ run.phase|lower }}", "r1 is failed"),
    ("{% if run.phase == 'Failed' %}bad{% else %}good{% endif %}", "bad"),
    ("{% for item in list %}{{ item }};{% endfor %}", "x;y;"),
    ("{{ list|join(', ') }} {{ list|length }}", "x, y 2"),
    ("{{ run.absent|default('none') }}", "none"),
    ("{{ steps['a'].message }}", "m"),
    ("<b>{{ list }}</b>", "<b>['x', 'y']</b>"),
])
def test_a_text_of_a_workflow_is_filled_in(source: str, text: str) -> None:
    assert check_text(source) is None
    assert render_text(source, SEEN) == text


@pytest.mark.parametrize(("source", "problem"), [
    ("{{ absent }}", "'absent' is undefined"),
    ("{{ run.absent }}", "has no attribute 'absent'"),
    ("{{ run.name", "line 1: unexpected end"),
    ("ok\n{% if %}", "line 2"),
    ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "call"),
    ("{{ run.name.__class__ }}", "unsafe"),
    ("{{ run['__class__'] }}", "unsafe"),
    ("{{ cycler.__init__.__globals__ }}", "unsafe"),
    ("{{ cycler }}", "'cycler' is undefined"),
    ("{% set x = 'a' %}" * 3, "assign"),
    ("{{ 'a' * 999999999 }}", "mul"),
    ("{{ run.name ~ run.name }}", "concat"),
    ("{{ '%999999999d' % 1 }}", "mod"),
    ("{{ run.name.ljust(999999999) }}", "call"),
    ("{{ 'x'|center(999999999) }}", "No filter named"),
    ("{{ 'x'|attr('__class__') }}", "No filter named"),
    ("{% macro m() %}{{ m() }}{% endmacro %}", "macro"),
    ("{% include '/etc/passwd' %}", "include"),
    ("{% for a in list %}{% for b in list %}{% for c in list %}{% endfor %}{% endfor %}{% endfor %}", "loops too much"),
    ("x" * 4097, "4096 are allowed"),
    ("{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}", "nested too deeply"),
    ("{{ " + "not " * 1000 + "1 }}", "nested too deeply"),
    ("{{ list|round }}", "cannot be rendered"),
])
def test_a_text_that_cannot_be_used_says_why_and_harms_nobody(source: str, problem: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidInput) as caught:
        render_text(source, SEEN)
    assert problem in str(caught.value)
    assert time.process_time() - started < 1


def test_a_chain_of_filters_cannot_multiply_without_end() -> None:
    source = "{{ 'ab'" + "|join('-------------')" * 100 + " }}"
    assert len(render_text(source, SEEN)) <= MAX_VALUE


def test_output_is_cut_at_its_limit() -> None:
    assert render_text("{% for a in list %}{{ a }}{% endfor %}", {"list": ["y" * 100] * 100}, limit=150) == "y" * 150


def test_what_an_alert_says_is_a_value_and_never_a_template() -> None:
    assert render_text("{{ run.name }}", {"run": {"name": "{{ 7 * 7 }}{% set x %}"}}) == "{{ 7 * 7 }}{% set x %}"


def test_the_users_folder_comes_before_the_package(tmp_path: Path) -> None:
    packaged = Templates(tmp_path).render("prompts/ask-system.j2", {})
    assert "yes/no question" in packaged
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "ask-system.j2").write_text("mine {{ x }}")
    assert Templates(tmp_path).render("prompts/ask-system.j2", {"x": 1}) == "mine 1"


@pytest.mark.parametrize("name", ["prompts/absent.j2", "../secret.j2", "/etc/passwd"])
def test_a_file_outside_the_folders_does_not_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.j2").write_text("secret")
    (tmp_path / "inside").mkdir()
    with pytest.raises(InvalidInput):
        Templates(tmp_path / "inside").render(name, {})


@pytest.mark.parametrize(("text", "shown"), [
    ("two\nlines\tand\r\n more", "two lines and more"),
    ("bidi\u202eevil\u2066x\u200f", "bidievilx"),
    ("zero\u200bwidth\ufeff\u2060", "zerowidth"),
    ("tag\U000e0041\U000e0042", "tag"),
    ("esc\x1b[31mred\x00\x7f\x9b", "esc[31mred"),
    ("lone\ud800surrogate", "lonesurrogate"),
    ("line\u2028and\u2029paragraph", "line and paragraph"),
    ("Grüße 你好 🙂", "Grüße 你好 🙂"),
    ("x" * 100, "x" * 50),
])
def test_hostile_characters_do_not_come_through(text: str, shown: str) -> None:
    assert plain(text, 50) == shown
