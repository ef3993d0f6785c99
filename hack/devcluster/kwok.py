"""kwok: fake nodes whose pods become Running without anything running, for clusters without real nodes."""

from __future__ import annotations

import subprocess

from . import binaries, controlplane
from .api import Api, wait
from .console import timed
from .procs import spawn
from .state import Cluster


def start(cluster: Cluster, count: int) -> None:
    """Create `count` fake nodes `kwok-1`… and wait until they are Ready."""
    folder = binaries.ensure("kwok")
    stages = cluster.folder / "kwok-stages.yaml"
    stages.write_bytes(subprocess.run([folder / "kwok-stages"], capture_output=True, check=True, timeout=30).stdout)
    flags = [
        f"--kubeconfig={cluster.pki}/kwok.kubeconfig",
        f"--config={stages}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        f"--server-address=127.0.0.1:{controlplane.free_port(cluster)}",
    ]
    api = Api(cluster.server, cluster.pki)
    with timed(f"{count} kwok nodes Ready", cluster.timings, "kwok"):
        for index in range(1, count + 1):
            api.create("/api/v1/nodes", _node(f"kwok-{index}"))
        spawn(cluster, "kwok", [str(folder / "kwok"), *flags])
        wait(cluster, "kwok nodes Ready", lambda: _ready(api) >= count, 60, "kwok")


def _node(name: str) -> dict[str, object]:
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    labels = {"type": "kwok", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name}
    metadata = {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": labels}
    return {"metadata": metadata, "status": {"allocatable": room, "capacity": room}}


def _ready(api: Api) -> int:
    found = api.request("GET", "/api/v1/nodes?labelSelector=type%3Dkwok")["items"]
    conditions = [c for node in found for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
    return sum(c["status"] == "True" for c in conditions)
