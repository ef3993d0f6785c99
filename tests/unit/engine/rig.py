"""An engine on a ledger and a cluster in memory, with a clock that moves only when told."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from akeso.act import registry
from akeso.act.breakers import Breakers
from akeso.act.perform import Performer
from akeso.decide.cel import Conditions
from akeso.engine.intake import Router
from akeso.engine.projection import StatusProjector
from akeso.engine.services import Services
from akeso.engine.worker import Worker
from akeso.errors import AkesoError
from akeso.ingest.definitions import Definitions
from akeso.kube.events import Recorder
from akeso.model.alert import Alert
from akeso.model.api.kinds import AGENT, CLUSTER_WORKFLOW, MODEL_ENDPOINT, WORKFLOW, parse
from akeso.model.objects import dig
from akeso.model.run import Run, RunPhase, StepRecord
from akeso.model.verdict import Answer
from akeso.ports import Ask
from akeso.record.metrics import Metrics
from akeso.settings import Settings
from akeso.testing import builders
from akeso.testing.fake_cluster import FakeCluster
from akeso.testing.memory_store import MemoryStore
from akeso.testing.scripted_model import ScriptedModel, ScriptedModels

NOW = builders.NOW
SCALE: dict[str, Any] = {"name": "scale", "action": {"name": "scale_deployment", "with": {"replicas": 4}}}
AUTONOMOUS: dict[str, Any] = {"autonomy": "Autonomous", "modelEndpointRefs": [{"name": "local"}]}
SPEC: dict[str, Any] = {
    "serviceAccountName": "healer", "agentRef": {"name": "sre"},
    "triggers": [{"name": "alert", "alert": {"matchers": [{"name": "alertname", "value": "KubePodCrashLooping"}]}}],
    "steps": [SCALE]}


class Log:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, **_: Any) -> None:
        self.lines.append(text)

    warning = exception = info


class Phone:
    """A notifier: remembers, or fails."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.error: AkesoError | None = None

    async def notify(self, channel: str, message: str, context: Mapping[str, str], *, key: str) -> None:
        if self.error is not None:
            raise self.error
        self.told.append((channel, message, key))


class Rig:
    """`services` and everything around them. `heals`: what the deployment controller does after a write."""

    def __init__(self, *objects: Mapping[str, Any], model: Ask | None = None, **settings: Any) -> None:
        self.now = NOW
        self.web = builders.deployment("web", replicas=2)
        rs = builders.replicaset(self.web)
        pods = [builders.pod(rs, suffix, ready=False, state=builders.waiting()) for suffix in ("1", "2")]
        standard = [builders.namespace(labels={"akeso.dev/managed": "true"}), self.web, rs, *pods]
        self.cluster = FakeCluster([*standard, *objects], clock=self.clock)
        self.store, self.log, self.phone = MemoryStore(), Log(), Phone()
        self.definitions = Definitions()
        self.definitions.synced.set()
        breakers = Breakers(100, 30, self.clock)
        self.services = Services(
            settings=Settings(escalation_channel="oncall", **settings), clock=self.clock,
            store=self.store, history=self.store,  # type: ignore[arg-type]
            cluster=self.cluster, recorder=Recorder(self.cluster, self.clock, "test"), definitions=self.definitions,
            registry=registry.load(), breakers=breakers, performer=Performer(self.cluster), conditions=Conditions(),
            models=ScriptedModels(model or ScriptedModel(Answer.YES)),  # type: ignore[arg-type]
            notifier=self.phone, projector=None, log=self.log, metrics=Metrics())  # type: ignore[arg-type]
        self.projector = StatusProjector(self.services)
        self.services.projector = self.projector
        self.worker = Worker(self.services, "w1")
        self.heals: Callable[[Rig], None] | None = lambda rig: rig.roll_out()
        self.alert = builders.alert(labels={"deployment": "web", "pod": "web-001abcdef-1"})
        self.run_id = ""

    def clock(self) -> datetime:
        return self.now

    def define(self, spec: Mapping[str, Any] | None = None, agent: Mapping[str, Any] | None = None,
               *, generation: int = 1, name: str = "heal", **more: Any) -> None:
        """The Workflow (SPEC with `more`) and its Agent, as the watches would hand them over."""
        meta = {"namespace": "shop", "generation": generation}
        self.definitions.put(parse(WORKFLOW, {
            "metadata": {**meta, "name": name, "uid": name}, "spec": {**(spec or SPEC), **more}}))
        self.definitions.put(parse(AGENT, {
            "metadata": {**meta, "name": "sre", "uid": "sre"}, "spec": dict(agent or AUTONOMOUS)}))

    async def fire(self, alert: Alert | None = None) -> str:
        """The alert arrives. Returns the id of the (first) run that it starts."""
        saved = await self.store.save_alerts(Router(self.definitions).route([alert or self.alert]), self.now)
        self.run_id = saved[0].run_ids[0]
        return self.run_id

    async def resolve(self, alert: Alert | None = None) -> None:
        gone = replace(alert or self.alert, status="resolved", ends_at=self.now)
        await self.store.save_alerts(Router(self.definitions).route([gone]), self.now)

    async def once(self) -> int:
        """Claim what is due and carry it as far as it goes. Returns how many runs were claimed."""
        claimed = await self.worker._claim()
        while self.worker._tasks:
            await asyncio.gather(*self.worker._tasks)
            await asyncio.sleep(0)
        if self.heals is not None:
            self.heals(self)
        return claimed

    async def go(self, *, until: RunPhase | None = None, hours: float = 24) -> Run:
        """Work until the run ends (or reaches that phase), the clock jumping to whatever is due next."""
        end = self.now + timedelta(hours=hours)
        while True:
            await self.once()
            run = await self.run()
            if run.phase.terminal or run.phase is until or run.wake_at is None or run.wake_at > end:
                return run
            self.now = max(self.now, run.wake_at)

    async def run(self, run_id: str = "") -> Run:
        run = await self.store.run(run_id or self.run_id)
        assert run is not None
        return run

    async def step(self, name: str = "scale") -> StepRecord:
        return (await self.run()).step(name)

    async def story(self) -> list[str]:
        return [f"{line.kind}/{line.reason}" for line in await self.store.story(self.run_id)]

    def replicas(self) -> int:
        return int(self.cluster.find("deployments", "shop", "web")["spec"]["replicas"])

    def roll_out(self, *, available: int | None = None) -> None:
        """What the deployment controller does: all replicas available, or so many."""
        def done(web: dict[str, Any]) -> None:
            count = web["spec"]["replicas"] if available is None else available
            web["status"] |= {"observedGeneration": web["metadata"]["generation"], "replicas": web["spec"]["replicas"],
                              "updatedReplicas": web["spec"]["replicas"], "readyReplicas": count,
                              "availableReplicas": count}
        try:
            self.cluster.change("deployments", "shop", "web", done)
        except StopIteration:
            return

    def writes(self) -> list[str]:
        """Effects on workloads, as `patch deployments/web`."""
        return [f"{w.verb} {w.plural}/{w.name}" for w in self.cluster.written()]

    async def decide_approval(self, decision: str, **more: Any) -> None:
        """A person answers the (only) Approval."""
        name = next(k[3] for k in self.cluster.server.objects if k[1] == "approvals")
        self.cluster.change("approvals", "shop", name, lambda a: a["spec"].update(
            {"decision": decision, "decidedBy": "ada", **more}))
        await self.store.wake(self.run_id, self.now)


def spec(*steps: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**SPEC, "steps": list(steps) or SPEC["steps"], **more}


def condition(obj: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    return next((c for c in dig(obj, "status", "conditions", default=[]) if c["type"] == type_), {})


__all__ = ["AGENT", "AUTONOMOUS", "CLUSTER_WORKFLOW", "MODEL_ENDPOINT", "NOW", "SCALE", "SPEC", "WORKFLOW", "Rig",
           "condition", "spec"]
