"""Who has which name and slot: the state folders of this user and, as root, the machine-wide /run/akeso."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from . import network
from .console import ClusterError
from .paths import RUN_ROOT, SLOTS, Names, state_root
from .procs import alive, boot_id, myself
from .state import Cluster, known_names, load, locked


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in use: its slot and the folder of its state."""

    name: str
    slot: int
    folder: Path


def entries() -> list[Entry]:
    """Every instance known on this machine to this user."""
    found = {}
    for name in known_names():
        if cluster := load(name):
            found[name] = Entry(name, cluster.slot, cluster.folder)
    if os.geteuid() != 0:  # without root, native clusters are none of this user's business
        return list(found.values())
    for note in sorted(RUN_ROOT.glob("*/instance.json")):
        content = json.loads(note.read_text())
        found.setdefault(note.parent.name, Entry(note.parent.name, content["slot"], Path(content["folder"])))
    return list(found.values())


def claim(name: str, kind: str) -> Cluster:
    """Reserve the name and the lowest free slot, and write the first state.json.

    Raises ClusterError when the name is taken or all slots are.
    """
    root = os.geteuid() == 0
    lock = RUN_ROOT / ".lock" if root else state_root() / ".lock"
    with locked(lock):
        known = entries()
        if taken := next((e for e in known if e.name == name), None):
            raise ClusterError(
                f"cluster {name} exists ({taken.folder}); take it down with: hack/cluster down --name {name}"
            )
        used = {e.slot for e in known}
        free = (s for s in range(SLOTS) if s not in used and (not root or network.slot_is_free(Names(name, s))))
        if (slot := next(free, None)) is None:
            raise ClusterError(f"all {SLOTS} slots are in use; run hack/cluster sweep, or take clusters down")
        folder = state_root() / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # private keys
        cluster = Cluster(name, kind, slot, folder, folder / "kubeconfig", boot_id=boot_id(), owner=myself())
        cluster.save()
        if root:
            run_folder = Names(name, slot).run_folder
            run_folder.mkdir(parents=True, exist_ok=True)
            (run_folder / "instance.json").write_text(json.dumps({"slot": slot, "folder": str(folder)}))
    return cluster


def crashed(entry: Entry) -> str | None:
    """Why this instance is a wreck that may be swept; None for one that is up or being started."""
    cluster = load(entry.name) if entry.folder == state_root() / entry.name else None
    if cluster is None:
        readable = (entry.folder / "state.json").exists()
        return None if readable else "its state is gone"
    if cluster.boot_id and cluster.boot_id != boot_id():
        return "the machine was started anew since"
    if cluster.kind in {"kind", "given"}:
        return None
    if cluster.phase == "starting":
        return None if cluster.owner and alive(cluster.owner) else "its `up` was ended half way"
    dead = [p.role for p in cluster.procs if not alive(p) and p.role not in cluster.paused]
    core = {"etcd", "kube-apiserver"} & set(dead)
    return f"{', '.join(sorted(core))} ended" if core else None
