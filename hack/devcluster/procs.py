"""Processes: start with a marker and a log, tell alive from recycled, end exactly what was started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from .console import ClusterError
from .state import Cluster, ProcRecord

MARK = "AKESO_CLUSTER_FOLDER"
"""Environment variable of every daemon: finds those whose pid was not yet recorded when `up` was killed."""


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; None for a dead one or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def alive(record: ProcRecord) -> bool:
    """Whether exactly this process, not a later one with its pid, still runs."""
    return start_ticks(record.pid) == record.start_ticks


def myself() -> ProcRecord:
    return ProcRecord("owner", os.getpid(), start_ticks(os.getpid()) or 0, [], "")


def spawn(cluster: Cluster, role: str, argv: Sequence[str], env: dict[str, str] | None = None) -> ProcRecord:
    """Start a daemon in a session of its own, record it in state.json, and return the record."""
    log = cluster.logs / f"{role}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    full_env = {k: v for k, v in os.environ.items() if not k.startswith("AKESO_")}
    full_env |= {MARK: str(cluster.folder)} | (env or {})
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=full_env, cwd="/"
        )
    process.returncode = 0  # it outlives us on purpose; without this Popen warns when collected
    record = ProcRecord(role, process.pid, start_ticks(process.pid) or 0, list(argv), str(log))
    cluster.procs = [p for p in cluster.procs if p.role != role] + [record]
    cluster.save()
    return record


def marked(folder: Path) -> list[int]:
    """Pids whose environment names `folder` as their cluster."""
    needle = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:  # gone meanwhile, or another user's
                continue
            if needle in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def kill(pids: Iterable[int], timeout: float = 10.0) -> None:
    """SIGKILL these processes and wait until they are gone; raises ClusterError when one will not go."""
    waiting = set(pids) - {os.getpid()}
    for pid in waiting:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + timeout
    while waiting:
        for pid in list(waiting):
            _reap(pid)
            if start_ticks(pid) is None:
                waiting.discard(pid)
        if waiting and time.monotonic() > deadline:
            raise ClusterError(f"processes {sorted(waiting)} do not end after SIGKILL; look at /proc/PID/stack")
        if waiting:
            time.sleep(0.02)


def kill_records(records: Iterable[ProcRecord]) -> None:
    """End those of the recorded processes that still run."""
    kill([r.pid for r in records if alive(r)])


def tail(path: str | Path, lines: int = 12) -> str:
    """The last lines of a log file, for an error message."""
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"
