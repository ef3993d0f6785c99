"""The same installation on kind, through pytest-kind, where a container engine answers. Elsewhere the native cluster
of hack/cluster stands in for it, with the same kubelets and API server, so this file is skipped there."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.devcluster import binaries, kindcluster
from hack.rig.install import install, operator_kubeconfig
from hack.rig.kubectl import Kubectl
from hack.rig.operator import Operator
from pytest_kind import KindCluster

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(kindcluster.engine() is None, reason="no container engine answers on this machine")]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    folder = tmp_path_factory.mktemp("kind")
    tools = binaries.ensure("kubernetes")
    cluster = KindCluster(f"akeso-{os.getpid()}", kubeconfig=folder / "kubeconfig",
                          kind_path=binaries.ensure("kind") / "kind", kubectl_path=tools / "kubectl")
    cluster.create()
    try:
        yield Kubectl(str(tools / "kubectl"), folder / "kubeconfig")
    finally:
        cluster.delete()


def test_akeso_installs_on_kind_and_becomes_ready(kubectl: Kubectl, tmp_path: Path) -> None:
    install(kubectl)
    operator = Operator(tmp_path / "operator", operator_kubeconfig(kubectl, tmp_path))
    operator.start()
    try:
        assert operator.get("/readyz")[0] == 200
        assert "workflowruns" in kubectl("api-resources", "--api-group=akeso.dev")
    finally:
        operator.stop()
