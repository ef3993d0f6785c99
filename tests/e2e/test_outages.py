"""Postgres, the API server and the model go away in mid-loop, and come back: nothing is lost, nothing is done twice.

AKESO_TEST_OUTAGE_SECONDS is how long each stays away: 8 by default, 20 for the release tier.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hack.devcluster import controlplane
from hack.rig.operator import Operator, free_port
from tests.e2e.scene import SCALE_DOWN, Scene, agent, deployment, endpoint, ledger, told, workflow
from tests.e2e.staging import Alertmanager, Stage, control_plane, remove_namespace, staged, until

from akeso.record import embedded

pytestmark = pytest.mark.e2e
AWAY = float(os.environ.get("AKESO_TEST_OUTAGE_SECONDS", "8"))
QUICK = {"breaker_failures": "3", "breaker_reset_seconds": "2"}  # so that the breakers close again within the test
STORM = 5
MODEL = Path(__file__).parent / "modelserver.py"


@pytest.fixture
def started() -> Iterator[Callable[..., Scene]]:
    """Starts an operator with quick breakers in a tenant's namespace where one Workflow waits for alerts."""
    with ExitStack() as stack:

        def make(stage: Stage, folder: Path, *objects: dict[str, object], **settings: str) -> Scene:
            scene = Scene(
                stage, stage.operator(folder / "operator", **QUICK, **settings), stage.tenant("scale_deployment")
            )
            stack.callback(remove_namespace, stage.kubectl, scene.namespace)
            stack.callback(scene.operator.stop)
            scene.operator.start()
            scene.apply(endpoint(), agent(), workflow(), *objects, *(deployment(f"web-{n}") for n in range(STORM + 1)))
            scene.ready("scale-down")
            return scene

        yield make


def storm(scene: Scene, first: int = 0, last: int = STORM, alertname: str = "scale-down") -> list[Alertmanager]:
    """So many alerts at once, all acknowledged; their runs are anywhere in the loop when this returns."""
    return [scene.fire(f"web-{n}", alertname) for n in range(first, last)]


def all_right(scene: Scene, alerts: list[Alertmanager], patience: float = 45.0) -> None:
    """Every one of them ends well once it resolves, with one write, by the audit log and by the object's generation."""
    for alert in alerts:
        scene.reached(alert, "Verifying", "Succeeded", patience=patience)
    for alert in alerts:
        alert.deliver("resolved")
    for alert in alerts:
        run = scene.reached(alert, "Succeeded", patience=patience)
        name = alert.labels["deployment"]
        there = scene.stage.kubectl.get("deployment", name, "-n", scene.namespace)
        assert there["spec"]["replicas"] == 0, told(run)
        assert there["metadata"]["generation"] == 2, told(run)
        assert len(scene.writes(name)) == 1, told(run)
        assert "not readable: metrics" in told(run)
        assert "events" not in told(run).split("not readable: ")[1].splitlines()[0], told(
            run
        )  # decided on all or not at all
    runs = scene.stage.runs(scene.namespace)
    assert len({r["spec"]["trigger"]["alert"]["fingerprint"] for r in runs}) == len(runs)


def breaker(operator: Operator, name: str) -> str:
    """closed, half-open or open by /metrics; closed where it is not there."""
    found = re.search(
        rf'^akeso_breaker_state{{name="{re.escape(name)}"}} (\d)', operator.get("/metrics")[1], re.MULTILINE
    )
    return ("closed", "half-open", "open")[int(found[1])] if found else "closed"


def busy(alert: Alertmanager) -> float:
    """Posts it; the answer must be 503 with Retry-After within two seconds. Seconds that it took."""
    request = urllib.request.Request(
        f"{alert.operator.url}/v1/alerts",
        data=json.dumps(alert.payload("firing")).encode(),
        method="POST",
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Bearer {alert.operator.token_file.read_text().strip()}",
        },
    )
    began = time.monotonic()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    took = time.monotonic() - began
    with refused.value as answer:
        assert answer.code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    return took


def postmaster(folder: Path) -> int:
    return int((folder / "postgres/postmaster.pid").read_text().splitlines()[0])


def processes(pid: int) -> list[int]:
    """The postmaster and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@pytest.fixture
def own_postgres() -> Iterator[tuple[str, Path]]:
    """A server that no other test uses: its URL and its folder."""
    folder = Path(tempfile.mkdtemp(prefix="akeso-out-"))
    try:
        yield embedded.start(folder), folder
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def away(scene: Scene, late: Alertmanager) -> None:
    """What must be seen while the database is away, for AWAY seconds."""
    began = time.monotonic()
    until("a 503", lambda: busy_or_none(late), 10)
    until("an open breaker", lambda: busy(late) < 2 and breaker(scene.operator, "database") == "open", 30)
    status, body = scene.operator.get("/readyz")
    assert status == 503
    assert '"database":{"ok":false' in body
    assert "database open" in body or "database half-open" in body
    assert breaker(scene.operator, "kubernetes") == "closed"  # nothing is wrong there
    assert scene.operator.get("/healthz")[0] == 200  # a restart would not help
    time.sleep(max(0.0, AWAY - (time.monotonic() - began)))
    assert scene.operator.alive()


def busy_or_none(late: Alertmanager) -> bool:
    try:
        return busy(late) < 2
    except pytest.fail.Exception:  # one more was taken: the connection died only then
        return False


def test_a_killed_and_restarted_postgres_loses_nothing(
    stage: Stage,
    own_postgres: tuple[str, Path],
    started: Callable[..., Scene],
    tmp_path: Path,
) -> None:
    url, folder = own_postgres
    scene = started(stage, tmp_path, database_url=url)
    alerts = storm(scene)
    os.kill(postmaster(folder), signal.SIGKILL)
    late = scene.alert(f"web-{STORM}")
    away(scene, late)
    embedded.start(folder)
    late.deliver("firing", patience=20)
    until("closed breakers", lambda: breaker(scene.operator, "database") == "closed" and scene.operator.ready(), 20)
    all_right(scene, [*alerts, late])


def test_a_postgres_that_hangs_is_like_one_that_is_gone(
    stage: Stage,
    own_postgres: tuple[str, Path],
    started: Callable[..., Scene],
    tmp_path: Path,
) -> None:
    url, folder = own_postgres
    scene = started(stage, tmp_path, database_url=url)
    alerts = storm(scene)
    frozen = processes(postmaster(folder))
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    late = scene.alert(f"web-{STORM}")
    try:
        away(scene, late)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    late.deliver("firing", patience=30)
    until("closed breakers", lambda: breaker(scene.operator, "database") == "closed" and scene.operator.ready(), 30)
    all_right(scene, [*alerts, late])


def test_the_operator_starts_its_own_postgres_again(
    stage: Stage,
    started: Callable[..., Scene],
    tmp_path: Path,
) -> None:
    scene = started(stage, tmp_path)
    alerts = storm(scene)
    pid = postmaster(scene.operator.folder / "data")
    os.kill(pid, signal.SIGKILL)
    late = scene.fire(f"web-{STORM}")  # refused until the server is back, as Alertmanager would see it
    until("readiness", scene.operator.ready, 30)
    assert postmaster(scene.operator.folder / "data") != pid
    all_right(scene, [*alerts, late])
    assert "The embedded Postgres is started again" in scene.operator.log.read_text()


def test_alerts_are_taken_while_the_api_server_is_away(
    started: Callable[..., Scene], tmp_path: Path, postgres: str
) -> None:
    with (
        control_plane(f"out-{os.getpid()}") as cluster,
        staged(cluster, tmp_path) as stage,
        ledger(postgres, "out_api") as url,
    ):
        scene = started(stage, tmp_path, database_url=url)
        alerts = storm(scene, last=STORM - 1)
        controlplane.pause_apiserver(cluster)
        began = time.monotonic()
        try:
            alerts += storm(scene, STORM - 1, STORM + 1)  # the ledger is there, so they are committed
            until("an open breaker", lambda: breaker(scene.operator, "kubernetes") == "open", 20)
            status, body = scene.operator.get("/readyz")
            assert status == 200  # alerts can be accepted
            assert '"kubernetes":{"ok":false' in body
            time.sleep(max(0.0, AWAY - (time.monotonic() - began)))
        finally:
            controlplane.resume_apiserver(cluster)
        all_right(scene, alerts, patience=60)
        assert breaker(scene.operator, "kubernetes") == "closed"
        scene.apply(workflow("later", steps=[{"name": "act", "action": SCALE_DOWN}]))
        scene.ready("later")  # the watches are back as well


class Model:
    """The model's server as a process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(MODEL), str(self.port)])
        until("the model's server", self.answers, 10)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def models() -> Iterator[tuple[Model, Model]]:
    pair = Model(), Model()
    for one in pair:
        one.start()
    yield pair
    for one in pair:
        one.stop()


def test_without_a_model_nothing_is_guessed_and_with_a_second_one_work_goes_on(
    stage: Stage,
    postgres: str,
    models: tuple[Model, Model],
    started: Callable[..., Scene],
    tmp_path: Path,
) -> None:
    first, second = models
    made = [
        endpoint(
            name, provider="OpenAICompatible", model="tiny", url=f"http://127.0.0.1:{one.port}/v1", timeoutSeconds=3
        )
        for name, one in (("first", first), ("second", second))
    ]
    asking = [{"name": "act", "action": SCALE_DOWN, "condition": {"ask": {"question": "Should it be scaled down?"}}}]
    with ledger(postgres, "out_model") as url:
        scene = started(
            stage,
            tmp_path,
            *made,
            agent("one", modelEndpointRefs=[{"name": "first"}]),
            agent("two", modelEndpointRefs=[{"name": "first"}, {"name": "second"}]),
            workflow("one", steps=asking, agentRef={"name": "one"}),
            workflow("two", steps=asking, agentRef={"name": "two"}),
            database_url=url,
        )
        scene.ready("one", "two")
        name = f"model/{scene.namespace}/first"
        before = scene.fire("web-0", "one")
        assert scene.reached(before, "Verifying")["status"]["decision"]["model"] == "model:first/tiny"
        first.stop()
        began = time.monotonic()
        lost = storm(scene, 1, 4, "one")
        for alert in lost:
            run = scene.reached(alert, "Escalated")
            assert "ModelUnavailable" in told(run), told(run)
            assert scene.writes(alert.labels["deployment"]) == []
        assert breaker(scene.operator, name) == "open"
        assert f"{name} open" in scene.operator.get("/readyz")[1]
        fallen_back = scene.fire("web-4", "two")
        assert scene.reached(fallen_back, "Verifying")["status"]["decision"]["model"] == "model:second/tiny"
        time.sleep(max(0.0, AWAY - (time.monotonic() - began)))
        first.start()
        after = scene.fire("web-5", "one")
        scene.reached(after, "Verifying")
        assert breaker(scene.operator, name) == "closed"
        for alert in (before, fallen_back, after):
            alert.deliver("resolved")
            assert scene.ended(alert)["status"]["phase"] == "Succeeded"
            assert len(scene.writes(alert.labels["deployment"])) == 1
