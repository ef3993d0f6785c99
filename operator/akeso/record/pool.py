"""Connections to Postgres: a pool with deadlines, and psycopg's errors sorted by what the caller does next.

A reply lost at COMMIT is ambiguous, so DatabaseAway means "perhaps written": every statement of queries.sql may be
run again without harm.
"""
from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from akeso.errors import AkesoError, DatabaseAway, GiveUp, InvalidInput
from akeso.record import codec
from akeso.record.sql import queries

STATEMENT_SECONDS = 10.0   # no statement of ours takes a second; a longer one waits for a lock or a sick disk
CONNECT_SECONDS = 5        # for one attempt to connect
ACQUIRE_SECONDS = 2.0      # for a free connection: while Postgres is away, a webhook says so before its sender gives up
RECONNECT_SECONDS = 5.0    # the pool doubles its pauses within this; longer would delay recovery after an outage

_NEXT = "check that Postgres runs and that AKESO_DATABASE_URL points to it"


class Database:
    """A pool of connections that runs named statements."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[DictRow]]) -> None:
        self._pool = pool
        self._sweep: asyncio.Task[None] | None = None

    async def rows(self, query: str, params: Mapping[str, Any] | None = None) -> list[DictRow]:
        """Run one named statement in its own transaction; its rows, or [] for one that returns none.

        Raises DatabaseAway (perhaps written: repeat), InvalidInput (Postgres will never take these values).
        """
        text: LiteralString = queries()[query]  # our own file, never input
        values = {name: codec.plain(value) for name, value in (params or {}).items()}
        try:
            async with asyncio.timeout(STATEMENT_SECONDS + CONNECT_SECONDS), self._pool.connection() as connection:
                cursor = await connection.execute(text, values)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, TimeoutError, OSError) as error:
            self._drop_broken()
            raise sorted_error(error) from error

    async def ping(self) -> None:
        """Returns where Postgres answers. Raises DatabaseAway."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS), self._pool.connection() as connection:
                await connection.execute("select 1")
        except (psycopg.Error, TimeoutError, OSError) as error:
            self._drop_broken()
            raise sorted_error(error) from error

    async def close(self) -> None:
        if self._sweep:
            self._sweep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweep
        await self._pool.close(timeout=CONNECT_SECONDS)

    def _drop_broken(self) -> None:
        """After a restart of Postgres every idle connection is dead: sweep them at once, not one failure each."""
        if self._sweep is None or self._sweep.done():
            self._sweep = asyncio.create_task(self._pool.check())


async def open_pool(url: str, size: int, *, application_name: str = "akeso") -> Database:
    """Open a pool of up to `size` connections; returns at once, also where Postgres is away (then calls raise).

    Raises InvalidInput for a URL that libpq cannot read.
    """
    pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
        conninfo(url, application_name), min_size=min(2, size), max_size=size, open=False, timeout=ACQUIRE_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS, max_idle=120, name=application_name, configure=_configure,
        kwargs={"autocommit": True, "row_factory": dict_row}, connection_class=AsyncConnection[DictRow],
    )
    await pool.open()
    return Database(pool)


def conninfo(url: str, application_name: str) -> str:
    """The connection string with our deadlines and UTC, where the URL does not say otherwise."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        how = "write it as postgresql://user@host/name"
        raise InvalidInput("The database URL cannot be read", next_step=how) from error
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS, "application_name": application_name,
        "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000,
    }
    options = f"-c statement_timeout={int(STATEMENT_SECONDS * 1000)} -c timezone=UTC {given.pop('options', None) or ''}"
    return make_conninfo("", **{**ours, **given, "options": options.strip()})


def sorted_error(error: BaseException) -> AkesoError:
    """Sorted by what the caller does next: repeat later, or never send these values again."""
    if isinstance(error, psycopg.Error) and error.sqlstate and error.sqlstate[:2] in ("22", "23", "54"):
        # bad values, broken constraints, and values above a limit of Postgres (which psycopg files as operational)
        return InvalidInput("Postgres cannot store this value", why=_first_line(error))
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout | TimeoutError | OSError):
        return DatabaseAway(why=_first_line(error), next_step=_NEXT)
    return GiveUp("A statement failed in Postgres", why=_first_line(error), next_step="report this defect of Akeso")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    set_json_loads(partial(codec.loads), connection)


def names(rows: Sequence[DictRow], column: str) -> list[str]:
    """One column of a result, as text."""
    return [str(row[column]) for row in rows]
