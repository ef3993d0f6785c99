"""The record of one cluster on disk: enough to inspect it, extend it and take it down from another process."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .console import ClusterError
from .paths import Names, checked_name, state_root


@dataclass(slots=True)
class ProcRecord:
    """One process: `start_ticks` (field 22 of /proc/PID/stat) tells it from a later one with the same pid."""

    role: str
    pid: int
    start_ticks: int
    argv: list[str]
    log: str


@dataclass(slots=True)
class NodeRecord:
    """One native node."""

    name: str
    index: int
    address: str
    netns: str
    containerd: str


@dataclass(slots=True)
class Cluster:
    """A cluster; `kind` is native, control-plane, kind or given; `phase` is starting or up."""

    name: str
    kind: str
    slot: int
    folder: Path
    kubeconfig: Path
    phase: str = "starting"
    boot_id: str = ""
    owner: ProcRecord | None = None
    server: str = ""
    bin_folder: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    nodes: list[NodeRecord] = field(default_factory=list)
    procs: list[ProcRecord] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        return Names(self.name, self.slot)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON event per line, level Metadata, without RequestReceived."""
        return self.folder / "audit.log"

    @property
    def kubectl(self) -> str:
        return str(Path(self.bin_folder) / "kubectl") if self.bin_folder else "kubectl"

    def proc(self, role: str) -> ProcRecord:
        """The recorded process of that role; raises ClusterError when there is none."""
        for record in self.procs:
            if record.role == role:
                return record
        raise ClusterError(f"cluster {self.name} has no process {role}; it has {[p.role for p in self.procs]}")

    def save(self) -> None:
        """Write state.json, all or nothing."""
        document = asdict(self) | {"folder": str(self.folder), "kubeconfig": str(self.kubeconfig)}
        partial = self.folder / "state.json.part"
        partial.write_text(json.dumps(document, indent=1) + "\n")
        partial.replace(self.folder / "state.json")


def _parse(document: dict[str, Any]) -> Cluster:
    owner = document.pop("owner")
    return Cluster(
        **{k: v for k, v in document.items() if k not in {"folder", "kubeconfig", "nodes", "procs"}},
        folder=Path(document["folder"]),
        kubeconfig=Path(document["kubeconfig"]),
        owner=ProcRecord(**owner) if owner else None,
        nodes=[NodeRecord(**node) for node in document["nodes"]],
        procs=[ProcRecord(**proc) for proc in document["procs"]],
    )


def load(name: str) -> Cluster | None:
    """The recorded cluster of that name, or None where there is none (or its record is unreadable)."""
    try:
        return _parse(json.loads((state_root() / checked_name(name) / "state.json").read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        return None


def require(name: str) -> Cluster:
    """Like `load`, but a missing cluster is a ClusterError."""
    if (found := load(name)) is None:
        raise ClusterError(f"no cluster {name!r} is recorded; start it with: hack/cluster up --name {name}")
    return found


def known_names() -> list[str]:
    """Names of all state folders of this user."""
    root = state_root()
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def forget(folder: Path) -> None:
    """Remove a cluster's folder."""
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive file lock; the kernel lets go of it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cluster_lock(name: str) -> Path:
    """The lock that serialises up, down, pause and resume of one cluster (beside its folder, which `down` removes)."""
    return state_root().parent / "locks" / f"{name}.lock"
