"""Postgres dies with kill -9, connections are cut, statements hang: the ledger says DatabaseAway and comes back."""
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.integration.record.contract import alert, match

from akeso.errors import DatabaseAway, GiveUp, InvalidInput
from akeso.record import embedded
from akeso.record.incoming import Incoming
from akeso.record.intake import Intake
from akeso.record.migrate import migrate
from akeso.record.pool import open_pool
from akeso.record.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    embedded.stop(tmp_path / "data")


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def has_ended(pid: int) -> bool:
    """Gone, or a zombie that nobody reaps."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other processes and threads set no asyncio.Event
            await asyncio.sleep(0.01)


async def test_a_killed_postgres_is_told_at_once_and_nothing_committed_is_lost(folder: Path) -> None:
    url = embedded.start(folder)
    await migrate(url)
    database = await open_pool(url, 4)
    store, committed, refused = Store(database), [], 0
    intake = Intake(store)
    stop = asyncio.Event()

    async def post(worker: int) -> None:
        nonlocal refused
        n = 0
        while not stop.is_set():
            n += 1
            try:
                [saved] = await intake.save([Incoming(alert(f"{worker}-{n}"), [match()])])
                committed.append(saved.signal_id)
            except DatabaseAway:
                refused += 1
                await asyncio.sleep(0.05)

    workers = [asyncio.create_task(post(worker)) for worker in range(4)]
    await until(lambda: len(committed) >= 100)
    os.kill(pid := postmaster(folder), signal.SIGKILL)
    await until(lambda: has_ended(pid) and refused > 0)
    with pytest.raises(DatabaseAway):
        await database.ping()
    before = len(committed)
    assert await asyncio.to_thread(embedded.start, folder) == url
    await until(lambda: len(committed) >= before + 50)
    stop.set()
    await asyncio.gather(*workers)
    await database.ping()
    for sid in committed:
        assert await store.signal(sid) is not None
    await database.close()


async def test_cut_connections_cost_one_error_not_one_for_each(server_url: str, database_url: str) -> None:
    database = await open_pool(database_url, 4)
    await asyncio.gather(*(database.ping() for _ in range(16)))
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'akeso'")
    failures = 0
    async with asyncio.timeout(10):
        while failures < 4:
            try:
                await database.ping()
                break
            except DatabaseAway:
                failures += 1
                await asyncio.sleep(0.1)
    assert failures <= 1
    await database.close()


async def test_a_postgres_that_is_not_there_is_database_away_and_a_bad_url_is_invalid_input() -> None:
    database = await open_pool("postgresql://nobody@127.0.0.1:1/none", 2)
    with pytest.raises(DatabaseAway, match="AKESO_DATABASE_URL"):
        await database.ping()
    await database.close()
    with pytest.raises(InvalidInput, match="postgresql://"):
        await open_pool("not a url", 2)
    with pytest.raises(DatabaseAway):
        await migrate("postgresql://nobody@127.0.0.1:1/none")


async def test_migrations_run_once_also_when_many_replicas_start_at_once(empty_database_url: str) -> None:
    results = await asyncio.gather(*(migrate(empty_database_url) for _ in range(6)))
    first, *others = sorted(results, key=len, reverse=True)
    assert first[0] == "0001_pre_ledger"
    assert others == [[]] * 5
    assert await migrate(empty_database_url) == []


async def test_a_replica_killed_while_it_held_the_migration_lock_stops_nobody(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("insert into yoyo_lock (locked, ctime, pid) values (1, now(), 999999)")
    assert await migrate(empty_database_url) == []


HOLDER = """
import sys, time
from akeso.record import embedded
print(embedded.start(sys.argv[1]), flush=True)
time.sleep(60)
"""


async def test_after_a_crash_of_the_operator_the_next_one_joins_and_stops_the_server(folder: Path) -> None:
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, folder, stdout=asyncio.subprocess.PIPE)
    assert holder.stdout
    first_url = (await holder.stdout.readline()).decode().strip()
    holder.kill()
    await holder.wait()
    url = embedded.start(folder)
    assert url == first_url
    await migrate(url)
    pid = postmaster(folder)
    embedded.stop(folder)
    await until(lambda: has_ended(pid))
    assert not (folder / "postgres" / "postmaster.pid").exists()
    assert await migrate(embedded.start(folder)) == []


async def test_a_second_operator_on_the_folder_shares_the_server(folder: Path) -> None:
    url = embedded.start(folder)
    second = "import sys; from akeso.record import embedded; print(embedded.start(sys.argv[1]))"
    command = [sys.executable, "-c", second, str(folder)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == url
    with psycopg.connect(url) as connection:  # its exit did not stop ours
        connection.execute("select 1")


def test_a_folder_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GiveUp, match="AKESO_DATA_DIR"):
        embedded.start(tmp_path / "file" / "below")
