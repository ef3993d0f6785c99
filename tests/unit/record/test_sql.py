"""The file of statements is complete and well formed."""
from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

import akeso.record
from akeso.record.migrate import yoyo_url
from akeso.record.sql import parse, queries


def test_every_statement_that_is_used_exists_and_every_one_that_exists_is_used() -> None:
    folder = Path(str(files(akeso.record)))
    used = set(re.findall(r'\.rows\(\s*"(\w+)"', "".join(p.read_text() for p in folder.glob("*.py"))))
    assert used == set(queries())


def test_a_statement_without_a_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="sentence"):
        parse("-- name: a\nselect 1;")


def test_a_name_used_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two statements"):
        parse("-- name: a\n-- One.\nselect 1;\n-- name: a\n-- Two.\nselect 2;")


def test_migrations_are_numbered_without_gaps_and_say_when_they_run() -> None:
    names = sorted(p.name for p in files("akeso.record").joinpath("migrations").iterdir() if p.name.endswith(".sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert all(re.fullmatch(r"\d{4}_(pre|post)_\w+\.sql", name) for name in names)


def test_the_migration_url_carries_sockets_passwords_and_ports() -> None:
    url = yoyo_url("postgresql://me:p%40ss@/led?host=/tmp/a%20b&port=6000")
    assert url.startswith("postgresql+psycopg:///led?")
    assert "host=%2Ftmp%2Fa+b" in url
    assert "password=p%40ss" in url
    assert "port=6000" in url
