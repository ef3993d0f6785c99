"""Real parts for the integration ring: one API server and one Postgres a session, a namespace a test."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from akeso.kube.client import Connection, connect
from akeso.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class TestCluster:
    """A cluster, with the kubeconfig of its admin."""

    __test__ = False
    kubeconfig: Path

    def __fspath__(self) -> str:
        return str(self.kubeconfig)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    """AKESO_TEST_KUBECONFIG, else a control plane of its own (etcd, API server, controllers; no nodes)."""
    if given := os.environ.get("AKESO_TEST_KUBECONFIG"):
        yield TestCluster(Path(given))
        return
    name = f"it-{os.getpid()}"
    figures = tmp_path_factory.mktemp("cluster") / "cluster.json"
    command = [str(ROOT / "hack/cluster")]
    try:
        subprocess.run(
            [*command, "up", "--control-plane-only", "--name", name, "--json", str(figures)], check=True, timeout=1800)
        yield TestCluster(Path(json.loads(figures.read_text())["kubeconfig"]))
    finally:
        subprocess.run([*command, "down", "--name", name], check=False, timeout=120)


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """AKESO_TEST_DATABASE_URL, else an embedded Postgres in a folder of its own."""
    if given := os.environ.get("AKESO_TEST_DATABASE_URL"):
        yield given
        return
    from akeso.record import embedded

    folder = Path(tempfile.mkdtemp(prefix="akeso-it-"))
    try:
        yield embedded.start(folder)
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def admin(cluster: TestCluster) -> AsyncIterator[Connection]:
    """A connection as the cluster's admin."""
    async with await connect(Settings(kubeconfig=str(cluster.kubeconfig))) as connection:
        yield connection


@pytest.fixture
async def namespace(admin: Connection) -> AsyncIterator[str]:
    """A fresh namespace; its removal is not waited for."""
    name = f"it-{uuid.uuid4().hex[:10]}"
    await admin.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    await admin.request("DELETE", f"/api/v1/namespaces/{name}", body={})
