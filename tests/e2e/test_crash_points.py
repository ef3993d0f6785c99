"""The operator dies with -9 wherever it can, and still: no alert lost, no second write. The API server's audit log counts.

Nothing here needs a node: the remedy scales a Deployment whose pods never find one, and its verification reads what the
real deployment controller says. Every scenario has a ledger, a namespace and operator processes of its own.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from akeso.failpoints import POINTS
from hack.rig.operator import Operator

from tests.e2e.staging import ACCOUNT, Alertmanager, Stage, succeeded, until

pytestmark = pytest.mark.e2e

ALERT = "DeploymentTooBig"
SETTINGS = {
    "holder_timeout_seconds": "1",    # takeover of a dead process's run; it is restarted about as fast
    "worker_poll_seconds": "0.2",
    "workers": "8",                   # more than runs are in flight: each one is in somebody's hands when the kill comes
    "alert_grace_seconds": "120",     # the test resolves every alert after the write, so none may be given up before
}
FROZEN_AT = ("after-claim", "before-intent", "after-intent", "after-write")
UNDO_KILLED_AT = ("after-verify", "after-intent:2", "after-write:2", "after-settle:2")
KILLS = 10  # R1 of design/reliability.md in its CI tier
IN_FLIGHT = 3


def manifests(scale_to: int) -> str:
    """A ModelEndpoint, an Autonomous Agent and a Workflow that scales the alert's Deployment."""
    step = {
        "name": "scale", "condition": {"cel": "alert.labels.severity == 'warning'"}, "timeoutSeconds": 1 if scale_to else 60,
        "action": {"name": "scale_deployment", "with": {"replicas": scale_to, "allowZero": True}}}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        _akeso("ModelEndpoint", "rules", {"provider": "Rules", "model": "rules"}),
        _akeso("Agent", "sre", {"autonomy": "Autonomous", "modelEndpointRefs": [{"name": "rules"}],
                                "actions": {"allow": ["scale_deployment"]}}),
        _akeso("Workflow", "scale", {
            "agentRef": {"name": "sre"}, "serviceAccountName": ACCOUNT, "steps": [step],
            "triggers": [{"name": "too-big", "alert": {
                "matchers": [{"name": "alertname", "value": ALERT}], "cooldownSeconds": 0}}]})]})


def _akeso(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "akeso.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def deployment(name: str) -> dict[str, Any]:
    """One replica that no node takes, so that the same happens with nodes and without."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "schedulerName": "nobody", "containers": [{"name": "app", "image": "app"}]}}}}


@dataclass(slots=True)
class Scene:
    """One tenant with a Workflow, its Deployments, the operator's settings, and who delivers alerts."""

    stage: Stage
    namespace: str
    operator: Operator
    pool: ThreadPoolExecutor
    senders: dict[str, Alertmanager] = field(default_factory=dict)

    def deploy(self, *names: str) -> None:
        """Created, and seen by the deployment controller, so that their generation rests."""
        items = [deployment(name) for name in names]
        self.stage.kubectl("create", "-n", self.namespace, "-f", "-",
                           stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        self.stage.kubectl("wait", "-n", self.namespace, "deployments", "--all", "--timeout=30s",
                           "--for=jsonpath={.status.observedGeneration}=1")

    def incident(self, name: str) -> Any:
        """The life of an alert, in the background: fires until acknowledged, resolves once the Deployment was written."""
        sender = self.sender(name)

        def live() -> None:
            sender.deliver("firing")
            until(f"a write on {name}", lambda: self.writes(name) or self.cut_off(name), every=0.1)
            sender.deliver("resolved")

        return self.pool.submit(live)

    def sender(self, name: str) -> Alertmanager:
        made = self.senders[name] = Alertmanager(self.operator, {
            "alertname": ALERT, "namespace": self.namespace, "deployment": name, "severity": "warning"})
        return made

    def death(self) -> int:
        """The exit status of the operator, which is about to die by itself."""
        assert self.operator.process is not None
        return self.operator.process.wait(30)

    def kill_in_flight(self, more: Callable[[], object]) -> None:
        """-9, at a moment when at least IN_FLIGHT runs are under way: freeze, count in the ledger, kill."""
        process = self.operator.process
        assert process is not None
        for _ in range(20):
            process.send_signal(signal.SIGSTOP)
            if self.ledger_says("select count(*) from run where not terminal") >= IN_FLIGHT:
                break
            process.send_signal(signal.SIGCONT)
            more()
            time.sleep(0.05)
        else:
            raise AssertionError(f"never {IN_FLIGHT} runs in flight")
        self.operator.kill()

    def ledger_says(self, query: str) -> Any:
        with psycopg.connect(self.operator.settings["DATABASE_URL"]) as ledger:
            return ledger.execute(query.encode()).fetchone()[0]  # type: ignore[index]

    def writes(self, name: str) -> list[dict[str, Any]]:
        return self.stage.audit.writes(self.namespace, "deployments", name)

    def cut_off(self, name: str) -> list[dict[str, Any]]:
        return self.stage.audit.cut_off(self.namespace, "deployments", name)

    def settled(self, count: int) -> Picture:
        """What the API server shows, once all runs have ended and are drawn to their last word."""
        until(f"the end of {count} runs", lambda: count == self.ledger_says(
            "select count(*) from run where terminal and shown = version"))
        assert self.ledger_says("select count(*) from run") == count
        seen = self.stage.kubectl.get("workflowruns,deployments,events.events.k8s.io", "-n", self.namespace)["items"]
        kinds = {kind: [o for o in seen if o["kind"] == kind] for kind in ("WorkflowRun", "Deployment", "Event")}
        assert len(kinds["WorkflowRun"]) == count, "a WorkflowRun for each run, and no other"
        return Picture(self, {r["spec"]["trigger"]["alert"]["labels"]["deployment"]: r for r in kinds["WorkflowRun"]},
                       {d["metadata"]["name"]: d for d in kinds["Deployment"]}, kinds["Event"])


@dataclass(frozen=True, slots=True)
class Picture:
    """The end of a scene: WorkflowRuns by the Deployment of their alert, Deployments by name, Events."""

    scene: Scene
    runs: Mapping[str, Mapping[str, Any]]
    deployments: Mapping[str, Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]

    def assert_healed(self, name: str) -> None:
        """Its alert was acknowledged, its one run succeeded, and it was written exactly once."""
        run, sender = self.runs[name], self.scene.senders[name]
        assert sender.acknowledged == {"firing": 1, "resolved": 1}
        assert run["spec"]["trigger"]["alert"]["fingerprint"] == sender.fingerprint
        self.assert_ended(name, "Succeeded", writes=1, replicas=0)

    def assert_ended(self, name: str, phase: str, *, writes: int, replicas: int) -> None:
        """The run's phase; the Deployment written so often, as the tenant's ServiceAccount, by the API server's count."""
        run, deployed = self.runs[name], self.deployments[name]
        assert run["status"]["phase"] == phase, run["status"]
        assert succeeded(run) == ("True" if phase == "Succeeded" else "False")
        account = f"system:serviceaccount:{self.scene.namespace}:{ACCOUNT}"
        accepted, cut_off = self.scene.writes(name), self.scene.cut_off(name)
        assert {(w["verb"], w["subresource"], w["as"]) for w in accepted + cut_off} == {("patch", "", account)}
        assert len(accepted) <= writes <= len(accepted) + len(cut_off)  # the generation says whether that one landed
        assert (deployed["metadata"]["generation"], deployed["spec"]["replicas"]) == (1 + writes, replicas)
        self._assert_told_once(run)

    def _assert_told_once(self, run: Mapping[str, Any]) -> None:
        """No line of its story and no Event is there twice."""
        name = run["metadata"]["name"]
        assert_distinct([(line["kind"], line["reason"], line["message"]) for line in run["status"]["story"]])
        events = [e for e in self.events if name in (e["regarding"]["name"], e.get("related", {}).get("name"))]
        assert_distinct([(e["regarding"]["kind"], e["reason"], e["note"]) for e in events])
        told = [e["regarding"]["kind"] for e in events if e["reason"] == "ActionApplied"]
        assert sorted(told) == ["Deployment", "WorkflowRun"], "the write is told on the run and on the patient"


def assert_distinct(seen: Sequence[object]) -> None:
    assert len(seen) == len(set(seen)), f"twice: {[one for one in seen if seen.count(one) > 1]}"


def frozen(operator: Operator) -> bool:
    """True where the kernel has stopped the process."""
    assert operator.process is not None
    with open(f"/proc/{operator.process.pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def ledger(postgres: str) -> Iterator[str]:
    """A fresh database of the shared server."""
    name = f"ledger_{time.monotonic_ns()}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f'create database "{name}"'.encode())
    yield postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f'drop database "{name}" with (force)'.encode())


@pytest.fixture
def scene(
    stage: Stage, ledger: str, operators: Callable[..., Operator], tenant: Callable[..., str],
) -> Iterator[Scene]:
    """A tenant whose Workflow scales to 0, which the deployment controller can confirm without nodes."""
    namespace = tenant("scale_deployment")
    stage.kubectl.apply(manifests(0), "-n", namespace)
    with ThreadPoolExecutor(KILLS * 5) as pool:
        made = Scene(stage, namespace, operators(database_url=ledger, **SETTINGS), pool)
        yield made
        print(made.operator.tail(60))  # shown where the test failed


@pytest.mark.parametrize("point", POINTS)
def test_an_operator_killed_at_this_point_loses_no_alert_and_writes_once(scene: Scene, point: str) -> None:
    scene.deploy("web")
    scene.operator.start(failpoint=point)
    incident = scene.incident("web")
    assert scene.death() == -signal.SIGKILL
    scene.operator.start()
    incident.result(60)
    scene.settled(1).assert_healed("web")


@pytest.mark.parametrize("point", UNDO_KILLED_AT)
def test_an_operator_killed_while_it_undoes_undoes_exactly_once(scene: Scene, point: str) -> None:
    scene.stage.kubectl.apply(manifests(2), "-n", scene.namespace)  # no second pod ever becomes available
    scene.deploy("web")
    scene.operator.start(failpoint=point)
    sender = scene.sender("web")
    scene.pool.submit(sender.deliver, "firing").result(60)
    assert scene.death() == -signal.SIGKILL
    scene.operator.start()
    scene.settled(1).assert_ended("web", "RolledBack", writes=2, replicas=1)  # the remedy, and its undo


@pytest.mark.parametrize("point", FROZEN_AT)
def test_a_frozen_operator_that_wakes_up_after_its_run_was_taken_over_writes_nothing(
    scene: Scene, operators: Callable[..., Operator], point: str,
) -> None:
    old = scene.operator
    scene.deploy("web")
    old.start(failpoint=f"{point}:1:STOP")
    incident = scene.incident("web")
    until(f"the operator frozen at {point}", lambda: frozen(old))
    new = operators("second", **old.settings)
    scene.senders["web"].operator = new
    new.start()
    incident.result(60)
    end = scene.settled(1)
    before = scene.writes("web")
    assert old.process is not None
    old.process.send_signal(signal.SIGCONT)
    until("the old operator seeing that it was superseded", lambda: "another replica holds this run now" in old.tail(500))
    until("the old operator at work again", old.ready)
    assert scene.writes("web") == before, "0 writes by the old epoch"
    end.assert_healed("web")


def test_ten_kills_at_random_times_with_runs_in_flight_lose_nothing_and_write_nothing_twice(scene: Scene) -> None:
    seed = int(time.time())
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = [f"web-{n}" for n in range(KILLS * 5)]
    scene.deploy(*names)
    unused, incidents = iter(names), []
    for _ in range(KILLS):
        scene.operator.start()
        incidents += [scene.incident(name) for name in (next(unused) for _ in range(4))]
        time.sleep(chance.uniform(0.0, 1.0))  # not a wait for anything: the moment of the kill
        scene.kill_in_flight(lambda: incidents.append(scene.incident(next(unused))))
    scene.operator.start()
    for incident in incidents:
        incident.result(60)
    end = scene.settled(len(incidents))
    for name in scene.senders:
        end.assert_healed(name)
