"""Errors: one code each, and a text that says what, why and what to do next."""
from __future__ import annotations

import inspect

import pytest

from akeso import errors
from akeso.errors import AkesoError, GiveUp, InvalidInput, Refused, TryLater

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, AkesoError)]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [c.__dict__.get("code") for c in ALL]
    assert None not in codes
    assert len(set(codes)) == len(codes) > 15
    assert all(isinstance(c, str) and len(c) == 7 and c.startswith("AK-1") for c in codes)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_message_without_being_told_one(kind: type[AkesoError]) -> None:
    error = kind("Reason", "what happened") if issubclass(kind, Refused) else kind()
    text = str(error)
    assert text.startswith(f"{kind.code} ")
    assert text.endswith(".")
    assert len(text) > len(kind.code) + 10


def test_a_message_says_what_why_and_what_next() -> None:
    error = GiveUp("The thing failed.", why="it was broken.", next_step="kubectl apply -f ../x.yaml")
    assert str(error) == "AK-1200 The thing failed: it was broken. Next: kubectl apply -f ../x.yaml"


def test_a_command_in_a_message_stays_as_it_was_written() -> None:
    assert str(InvalidInput("x", next_step='write {"url": "https://..."}')).endswith('{"url": "https://..."}')


def test_who_is_to_try_later_knows_when() -> None:
    assert TryLater(after=7).after == 7


def test_a_refusal_carries_its_reason() -> None:
    assert Refused("Paused", "m").reason == "Paused"
