"""Where a bench runs: a cluster of its own, Akeso's resources in it, and a folder; all of it gone afterwards."""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from hack.devcluster.console import say
from hack.rig.install import ROOT, install, operator_kubeconfig
from hack.rig.kubectl import Kubectl
from hack.rig.operator import Operator

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Place:
    """kubeconfig is the admin's; audit_log is None where the cluster was given."""

    folder: Path
    kubeconfig: Path
    kubectl: Kubectl
    audit_log: Path | None

    def operator(self, **settings: str) -> Operator:
        """An operator of this place, not started. Two of them share the folder, and so the database."""
        return Operator(
            self.folder / "operator", operator_kubeconfig(self.kubectl, self.folder),
            settings={"LOG_LEVEL": "warning", **settings})

    @property
    def database(self) -> str:
        """The URL of the operator's embedded Postgres, which must be running."""
        return f"postgresql://postgres:@/postgres?host={self.folder / 'operator/data/postgres'}"


@contextlib.contextmanager
def place(given: Path | None, *, kwok: int = 0) -> Iterator[Place]:
    """A control plane with `kwok` fake nodes, or the given cluster, with Akeso's CRDs and RBAC."""
    name = f"bench-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="akeso-bench-"))
    hack = str(ROOT / "hack/cluster")
    made = ["--control-plane-only", *(["--kwok", str(kwok)] if kwok else [])]
    source = ["--kubeconfig", str(given)] if given else made
    try:
        report = folder / "cluster.json"
        subprocess.run([hack, "up", "--name", name, "--json", str(report), *source], check=True, timeout=2400,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        found = json.loads(report.read_text())
        here = Place(folder, Path(found["kubeconfig"]), Kubectl(found["kubectl"], Path(found["kubeconfig"])),
                     Path(found["auditLog"]) if found["auditLog"] else None)
        say("installing CRDs and RBAC")
        install(here.kubectl)
        yield here
    finally:
        with uninterrupted():
            _stop_postgres(folder)
            subprocess.run([hack, "down", "--name", name], check=False, stdin=subprocess.DEVNULL, timeout=120)
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(operator: Operator) -> Iterator[Operator]:
    """Started and ready; stopped afterwards, also after an interrupt."""
    try:
        say("starting akeso run")
        operator.start()
        yield operator
    finally:
        with uninterrupted():
            operator.stop()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Cleaning up goes on, however often Ctrl-C is pressed."""
    before: Mapping[int, object] = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def postmaster(folder: Path) -> int:
    """The process of the embedded Postgres, 0 where none runs."""
    try:
        return int((folder / "operator/data/postgres/postmaster.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return 0


def _stop_postgres(folder: Path) -> None:
    """The operator stops its server itself, unless it was killed."""
    pid = postmaster(folder)
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGINT)  # fast shutdown


def durability(url: str) -> str:
    """What this Postgres promises at COMMIT, for the report."""
    with psycopg.connect(url) as connection:
        shown = {}
        for name in ("server_version", "fsync", "synchronous_commit", "full_page_writes"):
            row = connection.execute(f"show {name}").fetchone()
            shown[name] = row[0] if row else "?"
    return ", ".join(f"{key} {value}" for key, value in shown.items())
