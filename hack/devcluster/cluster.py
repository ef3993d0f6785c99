"""Bring a cluster up, take it down, sweep wrecks: what the command line and the tests call."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import binaries, controlplane, debian, dns, kindcluster, network, nodes, register, teardown
from . import kwok as kwoknodes
from .console import ClusterError, say, timed
from .paths import Names, checked_name, state_root
from .state import Cluster, NodeRecord, cluster_lock, forget, load, locked


def choose(kubeconfig: Path | None, control_plane_only: bool) -> tuple[str, str]:
    """Which kind of cluster to use, and why."""
    if kubeconfig is not None:
        return "given", f"--kubeconfig {kubeconfig}"
    if control_plane_only:
        return "control-plane", "--control-plane-only"
    if found := kindcluster.engine():
        return "kind", f"{found} answers"
    if sys.platform == "linux" and os.geteuid() == 0:
        return "native", "root on Linux, and no container engine answers"
    return "control-plane", "not root, and no container engine answers: control plane with kwok nodes"


def up(
    name: str,
    node_count: int = 2,
    *,
    kubeconfig: Path | None = None,
    control_plane_only: bool = False,
    kwok: int = 0,
) -> Cluster:
    """Start a cluster and wait until pods can run on it. On any failure or interrupt nothing of it is left.

    Raises ClusterError with what to do next.
    """
    checked_name(name)
    if not 1 <= node_count <= 60:
        raise ClusterError(f"--nodes {node_count}: between 1 and 60")
    kind, why = choose(kubeconfig, control_plane_only)
    say(f"cluster {name}: {kind} ({why})")
    if kind == "control-plane" and not control_plane_only:
        kwok = kwok or node_count
    started = time.monotonic()
    with locked(cluster_lock(name)):
        _clear_wreck(name)
        _prepare(kind, kwok)
        cluster = register.claim(name, kind)
        try:
            _start(cluster, node_count, kubeconfig, kwok)
        except BaseException as error:
            say(f"cluster {name}: {'interrupted' if isinstance(error, KeyboardInterrupt) else 'failed'}; removing it")
            _keep_logs(cluster)
            _remove(cluster.names, cluster.folder, cluster)
            raise
        cluster.phase = "up"
        cluster.timings["ready"] = round(time.monotonic() - started, 3)
        cluster.save()
    say(f"cluster {name} is ready: export KUBECONFIG={cluster.kubeconfig}")
    return cluster


def _clear_wreck(name: str) -> None:
    for entry in register.entries():
        if entry.name == name and (why := register.crashed(entry)):
            say(f"cluster {name}: removing what is left of an earlier one ({why})")
            _remove(Names(name, entry.slot), entry.folder, load(name))


def _prepare(kind: str, kwok: int) -> None:
    """Packages and binaries first, without holding a slot: they can take minutes on a bare machine."""
    if kind == "native":
        debian.ensure(debian.NATIVE)
        binaries.ensure("coredns")
    if kind == "control-plane":
        if os.geteuid() == 0:
            debian.ensure(debian.CONTROL_PLANE)
        controlplane.etcd_binary()
    if kind in {"native", "control-plane"}:
        binaries.ensure("kubernetes")
        if kwok:
            binaries.ensure("kwok")


def _start(cluster: Cluster, node_count: int, kubeconfig: Path | None, kwok: int) -> None:
    if cluster.kind == "given":
        _adopt(cluster, kubeconfig)
    elif cluster.kind == "kind":
        kindcluster.up(cluster, node_count)
    else:
        cluster.bin_folder = str(binaries.ensure("kubernetes"))
        cluster.versions = {"kubernetes": binaries.version("kubernetes")}
        if cluster.kind == "native":
            _start_native(cluster, node_count)
        else:
            _start_control_plane(cluster)
        if kwok:
            kwoknodes.start(cluster, kwok)


def _adopt(cluster: Cluster, kubeconfig: Path | None) -> None:
    """Use a cluster that somebody else made; `down` only forgets it."""
    if kubeconfig is None or not kubeconfig.is_file():
        raise ClusterError(f"--kubeconfig {kubeconfig}: no such file")
    cluster.kubeconfig = kubeconfig.resolve()
    if not shutil.which("kubectl"):
        cluster.bin_folder = str(binaries.ensure("kubernetes"))
    command = [
        cluster.kubectl,
        "--kubeconfig",
        str(cluster.kubeconfig),
        "get",
        "--raw",
        "/readyz",
        "--request-timeout=15s",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise ClusterError(f"the cluster of {kubeconfig} does not answer: {done.stderr.strip()[-500:]}")


def _start_control_plane(cluster: Cluster) -> None:
    controlplane.choose_ports(cluster)
    with timed("certificates made", cluster.timings, "certificates"):
        controlplane.make_certificates(cluster)
    with timed("API server ready", cluster.timings, "apiserver"):
        controlplane.start_storage(cluster)
        controlplane.wait_ready(cluster)
    controlplane.start_controllers(cluster)
    controlplane.grant_roles(cluster)
    with timed("controllers running", cluster.timings, "controllers"):
        controlplane.wait_controllers(cluster)


def _start_native(cluster: Cluster, count: int) -> None:
    controlplane.choose_ports(cluster)
    nodes.plan(cluster, count)
    with timed("network made", cluster.timings, "network"):
        network.create_bridge(cluster.names)
        for node in cluster.nodes:
            network.create_node(cluster.names, node.index)
    with timed("certificates made", cluster.timings, "certificates"):
        controlplane.make_certificates(cluster)
        nodes.make_certificates(cluster, controlplane.address_for_nodes(cluster))
    with timed("API server ready", cluster.timings, "apiserver"):
        controlplane.start_storage(cluster)
        nodes.start_runtimes(cluster)
        controlplane.wait_ready(cluster)
    with timed(f"{count} nodes Ready, DNS and controllers running", cluster.timings, "nodes"):
        controlplane.start_controllers(cluster)
        nodes.start_kubelets(cluster)
        controlplane.grant_roles(cluster)
        dns.start(cluster)
        nodes.wait_ready(cluster)
        controlplane.wait_controllers(cluster)
        dns.wait_ready(cluster)


def _keep_logs(cluster: Cluster) -> None:
    """The logs of a start that failed, for whoever looks for the reason."""
    kept = state_root().parent / "failed" / cluster.name
    shutil.rmtree(kept, ignore_errors=True)
    if cluster.logs.is_dir():
        shutil.copytree(cluster.logs, kept)
        say(f"its logs are kept in {kept}")


def _remove(names: Names, folder: Path, cluster: Cluster | None) -> None:
    if cluster is not None and cluster.kind == "kind":
        kindcluster.down(cluster)
    teardown.native(names, folder, cluster)  # a kind or given cluster may have monitoring beside it


def down(name: str) -> bool:
    """Take a cluster down completely; False when there was none. Doing it twice is fine."""
    checked_name(name)
    with locked(cluster_lock(name)):
        entry = next((e for e in register.entries() if e.name == name), None)
        if entry is None:
            forget(state_root() / name)
            return False
        with timed(f"cluster {name} is down"):
            _remove(Names(name, entry.slot), entry.folder, load(name))
    return True


def sweep() -> list[str]:
    """Remove every instance that crashed, and return what was removed; those that run stay."""
    removed = []
    for entry in register.entries():
        if why := register.crashed(entry):
            with locked(cluster_lock(entry.name)):
                say(f"sweeping cluster {entry.name}: {why}")
                _remove(Names(entry.name, entry.slot), entry.folder, load(entry.name))
                removed.append(entry.name)
    for name in network_orphans():
        say(f"sweeping namespaces and links of {name}, which no record names")
        used = {entry.slot for entry in register.entries()}  # a cut link name may be another cluster's there
        for names in (n for n in network.all_slots(name) if n.slot not in used):
            teardown.native(names, state_root() / name, None)
        removed.append(name)
    return removed


def network_orphans() -> list[str]:
    """Names of clusters of which only network namespaces are left; only root can have made any."""
    if os.geteuid() != 0:
        return []
    known = {entry.name for entry in register.entries()}
    return [name for name in network.owners() if name not in known]


def node(cluster: Cluster, name: str) -> NodeRecord:
    """The native node of that name."""
    for record in cluster.nodes:
        if record.name == name:
            return record
    raise ClusterError(f"cluster {cluster.name} has no node {name}; it has {[n.name for n in cluster.nodes]}")
