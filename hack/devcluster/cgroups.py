"""The cgroups of one native cluster, on cgroup v1 (one tree per controller) and v2 (one tree)."""

from __future__ import annotations

import os
from pathlib import Path

from .paths import Names

ROOT = Path("/sys/fs/cgroup")


def trees() -> list[Path]:
    """The mounted cgroup trees in which nodes get a folder."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [
        path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()
    ]


def create(names: Names, index: int) -> str:
    """Make the node's cgroup in every tree and return its path as the kubelet's `cgroupRoot` wants it."""
    for tree in trees():
        parent = tree
        for part in (names.cgroup, f"n{index}"):
            _delegate(parent)
            child = parent / part
            child.mkdir(exist_ok=True)
            _inherit_cpuset(parent, child)
            parent = child
    return f"/{names.cgroup}/n{index}"


def _delegate(parent: Path) -> None:
    """v2: hand the parent's controllers to its children."""
    control = parent / "cgroup.subtree_control"
    if not control.exists() or parent == ROOT / "unified":
        return
    for controller in (parent / "cgroup.controllers").read_text().split():
        try:
            control.write_text(f"+{controller}")
        except OSError:  # a controller that cannot be delegated here; the kubelet says which ones it misses
            continue


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """v1: a new cpuset is empty, and nothing can run in it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (child / name).exists() and (child / "cgroup.clone_children").exists():
            (child / name).write_text((parent / name).read_text())


def _folders(names: Names) -> list[Path]:
    """All cgroup folders of the cluster, children before parents."""
    found = []
    for tree in trees():
        for folder, _, _ in os.walk(tree / names.cgroup, topdown=False):
            found.append(Path(folder))
    return found


def pids(names: Names) -> list[int]:
    """Every process in the cluster's cgroups: all containers of all its pods."""
    found: set[int] = set()
    for folder in _folders(names):
        try:
            found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
        except OSError:  # removed meanwhile
            continue
    return sorted(found)


def remove(names: Names) -> None:
    """Remove the cluster's cgroups; they must hold no process any more."""
    for folder in _folders(names):
        try:
            folder.rmdir()
        except OSError:  # reported by the caller, who checks what is left
            continue


def left(names: Names) -> list[Path]:
    return _folders(names)
