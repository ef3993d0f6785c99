"""Clusters by kind, where a container engine answers.

Not yet run: no machine of this project has had a container engine.
"""

from __future__ import annotations

import json
import shutil
import subprocess

from . import binaries
from .console import ClusterError, timed
from .state import Cluster


def engine() -> str | None:
    """The container engine that answers (`docker` or `podman`), or None."""
    for name in ("docker", "podman"):
        if shutil.which(name):
            try:
                if subprocess.run([name, "info"], capture_output=True, timeout=10).returncode == 0:
                    return name
            except subprocess.TimeoutExpired:
                continue
    return None


def _kind(cluster: Cluster, *arguments: str, stdin: str = "") -> None:
    command = [str(binaries.ensure("kind") / "kind"), *arguments, "--name", f"akeso-{cluster.name}"]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise ClusterError(f"kind {' '.join(arguments)} failed: {done.stderr[-1500:]}")


def up(cluster: Cluster, nodes: int) -> None:
    """One control plane and `nodes` workers."""
    cluster.bin_folder = str(binaries.ensure("kind"))
    cluster.save()
    roles = ["control-plane"] + ["worker"] * nodes
    config = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": r} for r in roles]}
    with timed("kind cluster ready"):
        arguments = ["create", "cluster", "--config", "-", "--kubeconfig", str(cluster.kubeconfig), "--wait", "180s"]
        _kind(cluster, *arguments, stdin=json.dumps(config))


def down(cluster: Cluster) -> None:
    _kind(cluster, "delete", "cluster")
