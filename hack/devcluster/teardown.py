"""Remove everything of one instance, by names derived from its name and slot, whether or not it was recorded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import cgroups, network
from .console import ClusterError
from .paths import Names
from .procs import kill, kill_records, marked
from .state import Cluster, forget


def _mounts_below(*folders: Path) -> list[str]:
    """Mount points below the folders, deepest first."""
    prefixes = tuple(f"{folder}/" for folder in folders)
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    decoded = (point.encode().decode("unicode_escape") for point in points)
    return sorted((p for p in decoded if p.startswith(prefixes)), key=len, reverse=True)


def _unmount(*folders: Path) -> None:
    """Unmount all below the folders; lazily where something still holds one."""
    for _ in range(5):  # a mount point can be covered by another on the same path
        points = _mounts_below(*folders)
        if not points:
            return
        subprocess.run(["umount", *points], capture_output=True)
        if rest := _mounts_below(*folders):
            subprocess.run(["umount", "-l", *rest], capture_output=True)


def _remove_shim_sockets(names: Names) -> None:
    """A killed shim leaves its socket in containerd's fixed folder; its bundle says which one."""
    pattern = "n*/containerd/io.containerd.runtime.v2.task/*/*/address"
    for note in names.run_folder.glob(pattern):
        address = note.read_text().strip().removeprefix("unix://")
        if address.startswith("/run/containerd/s/"):
            Path(address).unlink(missing_ok=True)


def _remove_cni_results(names: Names) -> None:
    """libcni caches results in a fixed folder: one file per network (ours is the netns name), sandbox and interface.

    The loopback's files name only the sandbox, so our sandboxes are read from the others first.
    """
    ours = re.compile(re.escape(names.netns_prefix) + r"[0-9]+-([0-9a-f]{64})-.*")
    folder = Path("/var/lib/cni/results")
    files = list(folder.iterdir()) if folder.is_dir() else []
    sandboxes = {match.group(1) for file in files if (match := ours.fullmatch(file.name))}
    for file in files:
        if any(sandbox in file.name for sandbox in sandboxes):
            file.unlink(missing_ok=True)


def _remove_log_links(folder: Path) -> None:
    """The kubelet links every container's log into /var/log/containers, whatever its podLogsDir."""
    logs = Path("/var/log/containers")
    for link in logs.iterdir() if logs.is_dir() else []:
        if link.is_symlink() and str(link.readlink()).startswith(f"{folder}/"):
            link.unlink(missing_ok=True)


def _end_processes(names: Names, folder: Path, cluster: Cluster | None) -> None:
    records = cluster.procs if cluster else []
    kill_records([r for r in records if r.role.startswith("kubelet-")])  # else they restart what ends
    for _ in range(3):
        kill_records(records)
        kill([*marked(folder), *cgroups.pids(names)])
        if not marked(folder) and not cgroups.pids(names):
            return


def native(names: Names, folder: Path, cluster: Cluster | None) -> None:
    """Take down a native or control-plane instance completely; doing it twice is fine.

    Raises ClusterError naming what could not be removed; the state folder then stays.
    """
    _end_processes(names, folder, cluster)
    if os.geteuid() == 0:  # others can have made processes and files only
        _remove_shim_sockets(names)
        _unmount(folder, names.run_folder)
        network.remove(names)
        cgroups.remove(names)
        _remove_cni_results(names)
        _remove_log_links(folder)
    if left := leftovers(names, folder):
        raise ClusterError(f"cluster {names.name}: could not remove {'; '.join(left)}; run hack/cluster sweep again")
    shutil.rmtree(names.run_folder, ignore_errors=True)
    forget(folder)


def leftovers(names: Names, folder: Path) -> list[str]:
    """What of the instance still exists on this machine, in words."""
    found = [f"process {pid}" for pid in {*marked(folder), *cgroups.pids(names)}]
    found += [f"mount {point}" for point in _mounts_below(folder, names.run_folder)]
    found += [f"namespace {netns}" for netns in network.namespaces(names)]
    found += [f"link {names.bridge}" for _ in range(1) if Path("/sys/class/net", names.bridge).exists()]
    found += [f"cgroup {path}" for path in cgroups.left(names)]
    return found
