"""Migrations by yoyo, made safe for many replicas that start at once and for one that is killed in the middle.

yoyo's own lock is a row: a process killed while it holds the row locks every later start out until somebody runs
`yoyo break-lock`. So an advisory lock, which dies with its connection, is taken first; whoever holds it may break a
row that a dead process left. Each migration is one transaction, so a killed one leaves nothing half done.
"""
from __future__ import annotations

import asyncio
from importlib.resources import as_file, files
from urllib.parse import urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict

from akeso.errors import DatabaseAway
from akeso.record.pool import conninfo, sorted_error

_LOCK = 4_207_150_001      # any constant that nobody else on this database uses for advisory locks
_LOCK_SECONDS = 120        # a migration of a big table may take this long in another replica


async def migrate(url: str) -> list[str]:
    """Apply what is missing; the ids of the migrations that this call applied. Raises DatabaseAway, GiveUp."""
    return await asyncio.to_thread(_migrate, url)


def yoyo_url(url: str) -> str:
    """yoyo reads only host, port and name from a URL's usual places, so everything goes into its query string.

    This also carries a Unix socket folder, which no URL can hold as its host.
    """
    given = {k: str(v) for k, v in conninfo_to_dict(conninfo(url, "akeso-migrate")).items() if v is not None}
    given.pop("options")  # a statement timeout would cut a long migration off
    database = given.pop("dbname", None) or given.get("user", "postgres")
    return f"postgresql+psycopg:///{database}?{urlencode(given)}"


def _migrate(url: str) -> list[str]:
    try:
        with psycopg.connect(conninfo(url, "akeso-migrate"), autocommit=True) as guard:
            guard.execute(f"set statement_timeout = '{_LOCK_SECONDS}s'".encode())
            guard.execute("select pg_advisory_lock(%s)", [_LOCK])
            return _apply(url)
    except psycopg.errors.QueryCanceled as error:
        raise DatabaseAway("Another replica is still migrating the database", after=5.0) from error
    except psycopg.Error as error:
        raise sorted_error(error) from error


def _apply(url: str) -> list[str]:
    backend = yoyo.get_backend(yoyo_url(url))
    with backend, as_file(files("akeso.record").joinpath("migrations")) as folder:
        backend.break_lock()  # we hold the advisory lock, so whoever left that row is dead
        with backend.lock():
            missing = backend.to_apply(yoyo.read_migrations(str(folder)))
            applied = [migration.id for migration in missing]
            backend.apply_migrations(missing)
            return applied
