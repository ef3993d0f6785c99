"""A real Postgres for each session of these tests, and a fresh database for each test."""
from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from akeso.record import embedded
from akeso.record.history import History
from akeso.record.migrate import migrate
from akeso.record.pool import Database, open_pool
from akeso.record.store import Store

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="akeso-record-"))
    yield embedded.start(folder)
    embedded.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    name = f"t{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        yield server_url.replace("/postgres?", f"/{name}?")
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
async def database_url(empty_database_url: str) -> str:
    await migrate(empty_database_url)
    return empty_database_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await open_pool(database_url, 8)
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
def history(database: Database) -> History:
    return History(database)
