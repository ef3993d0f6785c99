"""The operator dies with -9 wherever it can: no alert is lost, nothing is written twice. The API server's log counts.

Nothing here needs a node: the remedy scales a Deployment that no scheduler looks at, and its verification reads what
the real deployment controller says. Every scenario has a ledger, a namespace and operator processes of its own.
"""
from __future__ import annotations

import json
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hack.rig.operator import Operator
from tests.e2e.scene import SCALE_DOWN, Scene, agent, deployment, endpoint, ledger, workflow
from tests.e2e.staging import ACCOUNT, Alertmanager, Stage, succeeded, until

from akeso.failpoints import POINTS

pytestmark = pytest.mark.e2e

SETTINGS = {
    "holder_timeout_seconds": "1",  # a dead process's run is free by the time that the next process is up
    "worker_poll_seconds": "0.2",
    "workers": "8",                 # more than runs under way: each one is in somebody's hands at the kill
    "alert_grace_seconds": "120",   # every alert resolves once its Deployment was written; none is given up before
}
FROZEN_AT = ("after-claim", "before-intent", "after-intent", "after-write")
UNDO_KILLED_AT = ("after-verify", "after-intent:2", "after-write:2", "after-settle:2")
KILLS = 10  # R1 of design/reliability.md in its CI tier
UNDER_WAY = 3
SEED = int(os.environ.get("AKESO_TEST_SEED", time.time()))
SCALE_UP = {"name": "scale_deployment", "with": {"replicas": 2}}  # never comes true: no scheduler looks at its pods


@dataclass(slots=True)
class Ordeal:
    """A tenant, the operator that is about to die, and the alerts that go on all the same."""

    scene: Scene
    database: str
    pool: ThreadPoolExecutor
    senders: dict[str, Alertmanager] = field(default_factory=dict)

    @property
    def operator(self) -> Operator:
        return self.scene.operator

    def deploy(self, *names: str) -> None:
        """Created, and seen by the deployment controller, so that their generation rests."""
        self.scene.apply(*(deployment(name) for name in names))
        seen = "--for=jsonpath={.status.observedGeneration}=1"
        self.scene.kubectl("wait", "deployments", "--all", "--timeout=60s", seen)

    def incident(self, name: str) -> Future[None]:
        """An alert's life, in the background: fires until acknowledged, resolves once its Deployment was written."""
        sender = self.senders[name] = self.scene.alert(name)

        def live() -> None:
            sender.deliver("firing")
            until(f"a write on {name}", lambda: self.scene.writes(name) or self.cut_off(name), every=0.1)
            sender.deliver("resolved")

        return self.pool.submit(live)

    def cut_off(self, name: str) -> list[dict[str, Any]]:
        """Writes that the operator did not live to see answered."""
        return self.scene.stage.audit.cut_off(self.scene.namespace, "deployments", name)

    def dies(self) -> None:
        """By itself, of its failpoint."""
        assert self.operator.process is not None
        assert self.operator.process.wait(30) == -signal.SIGKILL

    def kill(self, more: Callable[[], object]) -> None:
        """-9 while at least UNDER_WAY runs are under way: freeze it, count in the ledger, and kill it frozen."""
        process = self.operator.process
        assert process is not None
        for _ in range(20):
            process.send_signal(signal.SIGSTOP)
            if self.ledger("select count(*) from run where not terminal") >= UNDER_WAY:
                self.operator.kill()
                return
            process.send_signal(signal.SIGCONT)
            more()
            time.sleep(0.05)  # for the alert to arrive; the count above is the condition
        raise AssertionError(f"never {UNDER_WAY} runs under way")

    def ledger(self, query: str) -> Any:
        with psycopg.connect(self.database) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    def end(self, count: int) -> Picture:
        """What the API server shows, once so many runs, and no others, have ended and are drawn to their last word."""
        until(f"the end of {count} runs", lambda: count == self.ledger(
            "select count(*) from run where terminal and shown = version"))
        assert self.ledger("select count(*) from run") == count
        kinds = "workflowruns,deployments,events.events.k8s.io"
        seen = self.scene.stage.kubectl.get(kinds, "-n", self.scene.namespace)["items"]
        runs = [o for o in seen if o["kind"] == "WorkflowRun"]
        assert len(runs) == count, "a WorkflowRun for each run"
        return Picture(
            self, {r["spec"]["trigger"]["alert"]["labels"]["deployment"]: r for r in runs},
            {o["metadata"]["name"]: o for o in seen if o["kind"] == "Deployment"},
            [o for o in seen if o["kind"] == "Event"])


@dataclass(frozen=True, slots=True)
class Picture:
    """The end of an ordeal: WorkflowRuns by the Deployment of their alert, Deployments by name, Events."""

    ordeal: Ordeal
    runs: Mapping[str, Mapping[str, Any]]
    deployments: Mapping[str, Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]

    def assert_healed(self, name: str) -> None:
        """Its alert was acknowledged, its one run succeeded, and it was written exactly once."""
        sender = self.ordeal.senders[name]
        assert sender.acknowledged == {"firing": 1, "resolved": 1}
        assert self.runs[name]["spec"]["trigger"]["alert"]["fingerprint"] == sender.fingerprint
        self.assert_ended(name, "Succeeded", writes=1, replicas=0)

    def assert_ended(self, name: str, phase: str, *, writes: int, replicas: int) -> None:
        """Its run's phase; so many writes as the tenant's ServiceAccount in the audit log, and as many generations."""
        run, deployed, scene = self.runs[name], self.deployments[name], self.ordeal.scene
        assert run["status"]["phase"] == phase, run["status"]
        assert succeeded(run) == ("True" if phase == "Succeeded" else "False")
        accepted, cut_off = scene.writes(name), self.ordeal.cut_off(name)
        account = f"system:serviceaccount:{scene.namespace}:{ACCOUNT}"
        assert {(w["verb"], w["subresource"], w["as"]) for w in accepted + cut_off} == {("patch", "", account)}
        assert len(accepted) <= writes <= len(accepted) + len(cut_off), (accepted, cut_off)
        assert (deployed["metadata"]["generation"], deployed["spec"]["replicas"]) == (1 + writes, replicas)
        self._assert_told_once(run)

    def _assert_told_once(self, run: Mapping[str, Any]) -> None:
        """No line of its story and no Event is there twice; the first write is told on the run and on the patient."""
        name = run["metadata"]["name"]
        assert_distinct([(line["kind"], line["reason"], line["message"]) for line in run["status"]["story"]])
        events = [e for e in self.events if name in (e["regarding"]["name"], e.get("related", {}).get("name"))]
        assert_distinct([(e["regarding"]["kind"], e["reason"], e["note"]) for e in events])
        told = [e["regarding"]["kind"] for e in events if e["reason"] == "ActionApplied"]
        assert sorted(told) == ["Deployment", "WorkflowRun"]


def assert_distinct(seen: Sequence[object]) -> None:
    assert len(seen) == len(set(seen)), f"twice: {[one for one in seen if seen.count(one) > 1]}"


def frozen(operator: Operator) -> bool:
    """True where the kernel has stopped the process."""
    assert operator.process is not None
    return Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def ordeal(
    stage: Stage, postgres: str, operators: Callable[..., Operator], tenant: Callable[..., str], tmp_path: Path,
) -> Iterator[Ordeal]:
    """The Workflow scales to 0, which the deployment controller can confirm without nodes. No bug may be logged."""
    with ledger(postgres, f"ordeal_{time.monotonic_ns()}") as database, ThreadPoolExecutor(KILLS * 5) as pool:
        scene = Scene(stage, operators(database_url=database, **SETTINGS), tenant("scale_deployment"))
        step = {"name": "act", "condition": {"cel": "alert.labels.severity == 'warning'"}, "action": SCALE_DOWN}
        scene.apply(endpoint(), agent(), workflow(steps=[step]))
        yield Ordeal(scene, database, pool)
        for log in tmp_path.glob("*/operator.log"):
            logging.getLogger("operator").warning(log.read_text()[-20_000:])  # shown where the test failed
    lines = [json.loads(line) for log in tmp_path.glob("*/operator.log") for line in log.read_text().splitlines()]
    assert [line for line in lines if line["level"] not in ("debug", "info", "warning")] == []


@pytest.mark.parametrize("point", POINTS)
def test_an_operator_killed_at_this_point_loses_no_alert_and_writes_once(ordeal: Ordeal, point: str) -> None:
    ordeal.deploy("web")
    ordeal.operator.start(failpoint=point)
    incident = ordeal.incident("web")
    ordeal.dies()
    ordeal.operator.start()
    incident.result(60)
    ordeal.end(1).assert_healed("web")


@pytest.mark.parametrize("point", UNDO_KILLED_AT)
def test_an_operator_killed_while_it_undoes_undoes_exactly_once(ordeal: Ordeal, point: str) -> None:
    ordeal.scene.apply(workflow(steps=[{"name": "act", "timeoutSeconds": 1, "action": SCALE_UP}]))
    ordeal.deploy("web")
    ordeal.operator.start(failpoint=point)
    ordeal.pool.submit(ordeal.scene.alert("web").deliver, "firing").result(60)
    ordeal.dies()
    ordeal.operator.start()
    ordeal.end(1).assert_ended("web", "RolledBack", writes=2, replicas=1)


@pytest.mark.parametrize("point", FROZEN_AT)
def test_a_frozen_operator_that_wakes_up_after_its_run_was_taken_over_writes_nothing(
    ordeal: Ordeal, operators: Callable[..., Operator], point: str,
) -> None:
    old, new = ordeal.operator, operators("second", database_url=ordeal.database, **SETTINGS)
    ordeal.deploy("web")
    old.start(failpoint=f"{point}:1:STOP")
    incident = ordeal.incident("web")
    until(f"the operator frozen at {point}", lambda: frozen(old))
    ordeal.senders["web"].operator = new  # the Service sends to the replica that answers
    new.start()
    incident.result(60)
    end, writes = ordeal.end(1), ordeal.scene.writes("web")
    assert old.process is not None
    old.process.send_signal(signal.SIGCONT)
    until("the old one seeing that it was superseded", lambda: "another replica holds this run now" in old.tail(500))
    until("the old one serving again", old.ready)
    assert ordeal.scene.writes("web") == writes, "0 writes by the old epoch"
    end.assert_healed("web")


@pytest.mark.parametrize("seed", [SEED])  # in the test's name, so that a failure says it; AKESO_TEST_SEED repeats it
def test_ten_kills_at_random_times_with_runs_under_way_lose_nothing_and_write_nothing_twice(
    ordeal: Ordeal, seed: int,
) -> None:
    chance, incidents = random.Random(seed), list[Future[None]]()
    names = [f"web-{n}" for n in range(KILLS * 5)]
    unused = iter(names)

    def another() -> None:
        incidents.append(ordeal.incident(next(unused)))

    ordeal.deploy(*names)
    for _ in range(KILLS):
        ordeal.operator.start()
        for _ in range(4):
            another()
        time.sleep(chance.uniform(0.0, 1.0))  # not a wait for anything: the moment of the kill
        ordeal.kill(another)
    ordeal.operator.start()
    for incident in incidents:
        incident.result(60)
    end = ordeal.end(len(incidents))
    for name in ordeal.senders:
        end.assert_healed(name)
