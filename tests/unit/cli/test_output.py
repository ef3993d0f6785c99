"""What is printed: aligned, and without control characters of strangers."""
from __future__ import annotations

from datetime import timedelta

import pytest

from akeso.cli.output import age, clean, table
from akeso.clock import format_time
from akeso.testing.builders import NOW


@pytest.mark.parametrize("text", [
    "\x1b[31mred", "\x1b]0;title\x07", "\u202egnp.exe", "\u2066x\u2069", "a\rb", "a\nb", "a\tb", "\x9b31m",
    "\u200bzero", "\x00", "\ud800"])
def test_control_characters_become_spaces(text: str) -> None:
    assert clean(text).isprintable()


def test_text_of_any_language_stays() -> None:
    assert clean("Größe 数 ✓ 🙂") == "Größe 数 ✓ 🙂"


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table(["A", "NAME"], [["x", "y"], ["longer", "\x1bz"]])
    assert capsys.readouterr().out == "A        NAME\nx        y\nlonger    z\n"


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"),
                                               (7200, "2h"), (172800, "2d")])
def test_ages_are_short(seconds: int, said: str) -> None:
    assert age(format_time(NOW - timedelta(seconds=seconds)), NOW) == said


def test_an_age_without_a_time_is_unknown() -> None:
    assert age(None, NOW) == "<unknown>"
