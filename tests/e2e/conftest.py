"""One cluster with Akeso installed for the e2e ring; every test brings its own namespace and operators."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hack.rig.operator import Operator
from tests.e2e.staging import Stage, audited, control_plane, remove_namespace, staged


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """AKESO_TEST_CLUSTER where its audit log can be read (native, control plane), else a control plane of its own."""
    folder = Path(tempfile.mkdtemp(prefix="akeso-e2e-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        given = audited(os.environ.get("AKESO_TEST_CLUSTER", ""))
        cluster = given or stack.enter_context(control_plane(f"e2e-{os.getpid()}"))
        yield stack.enter_context(staged(cluster, folder))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an embedded Postgres that outlives every operator; `database` makes a ledger in it."""
    from akeso.record import embedded

    folder = Path(tempfile.mkdtemp(prefix="akeso-e2e-pg-"))
    try:
        yield embedded.start(folder)
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def operators(stage: Stage, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Makes operators (settings as keywords), and ends all of them after the test, however it went."""
    made: list[Operator] = []

    def make(name: str = "operator", **settings: str) -> Operator:
        made.append(stage.operator(tmp_path / name, **settings))
        return made[-1]

    yield make
    for operator in made:
        operator.kill()


@pytest.fixture
def tenant(stage: Stage) -> Iterator[Callable[..., str]]:
    """Makes namespaces that opted in, for these actions; their removal is begun after the test."""
    made: list[str] = []

    def make(*actions: str) -> str:
        made.append(stage.tenant(*actions))
        return made[-1]

    yield make
    for name in made:
        remove_namespace(stage.kubectl, name)
