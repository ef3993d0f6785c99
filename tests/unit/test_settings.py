"""Settings: each from its variable, all mistakes at once."""
from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from akeso.errors import InvalidInput
from akeso.settings import PREFIX, Settings, fail_point


def test_nothing_given_is_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


@pytest.mark.parametrize(("name", "text", "value"), [
    ("LISTEN_PORT", "9", 9), ("WORKER_POLL_SECONDS", "0.5", 0.5), ("WEBHOOK_ANONYMOUS", "TRUE", True),
    ("WEBHOOK_ANONYMOUS", "0", False), ("ALERTMANAGER_URLS", " http://a , ,http://b", ("http://a", "http://b")),
    ("DATA_DIR", "/x", Path("/x")), ("LOG_LEVEL", "debug", "debug"), ("PROTECTED_NAMESPACES", "", ())])
def test_a_variable_is_read_as_the_type_of_its_default(name: str, text: str, value: object) -> None:
    assert getattr(Settings.from_env({PREFIX + name: text}), name.lower()) == value


def test_every_setting_has_a_variable() -> None:
    for field in fields(Settings):
        default = getattr(Settings(), field.name)
        text = ",".join(default) if isinstance(default, tuple) else str(default)
        assert getattr(Settings.from_env({PREFIX + field.name.upper(): text}), field.name) == default


@pytest.mark.parametrize(("name", "text"), [
    ("LISTEN_PORT", "x"), ("WORKERS", "-1"), ("WEBHOOK_ANONYMOUS", "yes"), ("WORKER_POLL_SECONDS", "nan"),
    ("WORKER_POLL_SECONDS", "inf")])
def test_a_bad_value_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=PREFIX + name):
        Settings.from_env({PREFIX + name: text})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as told:
        Settings.from_env({"AKESO_WORKERS": "x", "AKESO_LISTEN_PORT": "y", "OTHER": "z"})
    assert "AKESO_WORKERS" in str(told.value)
    assert "AKESO_LISTEN_PORT" in str(told.value)


def test_what_is_typed_wins_over_the_environment() -> None:
    given = Settings.from_env({"AKESO_LISTEN_PORT": "1", "AKESO_LISTEN_HOST": "h"}, listen_port=2, listen_host=None)
    assert (given.listen_port, given.listen_host) == (2, "h")


def test_libraries_without_our_settings_find_the_same_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "before")
    Settings().export_kubeconfig()
    assert os.environ["KUBECONFIG"] == "before"
    Settings(kubeconfig="/k").export_kubeconfig()
    assert os.environ["KUBECONFIG"] == "/k"


def test_a_fail_point_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AKESO_FAILPOINT", raising=False)
    assert fail_point() == ""
