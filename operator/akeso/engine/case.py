"""A run in the hands of a worker: what the ledger says, and what was read for it in this pass."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from akeso.decide.facts.extract import extract
from akeso.engine.services import Services
from akeso.errors import ClusterAway, GiveUp
from akeso.ingest.evidence import gather
from akeso.ingest.targets import Resolution, resolve
from akeso.model.api.agent import AgentSpec
from akeso.model.api.kinds import AGENT, CLUSTER_WORKFLOW, WORKFLOW, CustomKind, parse
from akeso.model.api.step import Step
from akeso.model.api.workflow import WorkflowSpec
from akeso.model.evidence import Fact, PastAction, Snapshot
from akeso.model.objects import NAMESPACE, Object, ObjectRef
from akeso.model.run import Run, StepPhase, StepRecord, StoryLine

MANY = 3  # unreadable parts of the evidence that are no coincidence
HISTORY = timedelta(days=1)  # how far back an earlier action on the object counts as evidence


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` (or before something wakes the run). The worker lets go of it."""

    until: datetime


@dataclass(slots=True)
class Case:
    """Mutable, and used by one worker task only. Whatever must survive is in `run`, committed."""

    services: Services
    run: Run
    spec: WorkflowSpec
    agent: AgentSpec | None
    snapshot: Snapshot | None = None
    chain: Sequence[ObjectRef] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @classmethod
    def of(cls, services: Services, run: Run) -> Case:
        """Reads the pinned Workflow and Agent. Raises InvalidInput where this version cannot read them."""
        kind: CustomKind[Any] = CLUSTER_WORKFLOW if run.workflow["kind"] == "ClusterWorkflow" else WORKFLOW
        spec = parse(kind, {"metadata": {"name": run.workflow["name"]}, "spec": run.workflow["spec"]}).spec
        agent = None
        if run.agent:
            agent = parse(AGENT, {"metadata": {"name": run.agent.get("name", "")}, "spec": run.agent["spec"]}).spec
        return cls(services, run, spec, agent)

    @property
    def now(self) -> datetime:
        return self.services.clock()

    @property
    def cluster_wide(self) -> bool:
        return bool(self.run.workflow["kind"] == "ClusterWorkflow")

    @property
    def home(self) -> str:
        """The namespace of the Workflow's ServiceAccount: its own, or the Agent's for a ClusterWorkflow."""
        if not self.cluster_wide:
            return str(self.run.workflow["namespace"])
        return self.spec.agent_ref.namespace if self.spec.agent_ref else ""  # type: ignore[attr-defined]

    @property
    def service_account(self) -> str:
        """"namespace:name", or empty where the Workflow names none (the has_identity gate refuses then)."""
        name = self.spec.service_account_name
        return f"{self.home}:{name}" if name and self.home else ""

    @property
    def workflow_key(self) -> str:
        w = self.run.workflow
        return f"{w['namespace']}/{w['kind']}/{w['name']}"

    def step(self, name: str) -> Step:
        return next(s for s in (*self.spec.steps, *self.spec.finally_) if s.name == name)

    async def commit(
        self, *steps: StepRecord, story: Sequence[tuple[str, str, str] | StoryLine] = (), **run: Any,
    ) -> None:
        """Save changed steps, story lines (kind, reason, message; or with their own time) and columns of the run:
        one fenced commit."""
        now = self.now
        lines = [
            one if isinstance(one, StoryLine) else StoryLine(now, one[0], one[1], one[2][:1024]) for one in story]
        await self.services.store.save(self.run.id, self.run.epoch, run=run, steps=steps, story=lines)
        fresh = {s.name: s for s in steps}
        known = [fresh.pop(s.name, s) for s in self.run.steps]
        self.run = replace(self.run, steps=(*known, *fresh.values()), **run)
        self.services.projector.mark(self.run.id)
        for line in lines:
            self.services.log.info(line.message, kind=line.kind, reason=line.reason, run_id=self.run.name)

    async def read(self, ref: ObjectRef) -> Object | None:
        return await self.services.cluster.get(ref.kind, ref.namespace, ref.name)

    async def namespace_of(self, ref: ObjectRef) -> Object | None:
        return await self.services.cluster.get(NAMESPACE, "", ref.namespace) if ref.namespace else None

    async def gather(self) -> Resolution:
        """Target and evidence, all reads bounded. Raises ClusterAway where the API server is away."""
        services = self.services
        signal = await services.store.signal(self.run.signal_id)
        if signal is None:
            raise GiveUp("The signal of this run is not in the database", why="it was deleted by hand")
        async with services.guard("kubernetes"):
            resolution = await resolve(signal.alert, services.cluster)
            history: Sequence[PastAction] = ()
            if resolution.target is not None:
                history = await services.history.past_actions(resolution.target.key, self.now - HISTORY)
            self.snapshot = await gather(
                [signal.alert], resolution, services.cluster, services.series, history, self.now)
            _require_most(self.snapshot)
        self.chain, self.facts = resolution.chain, extract(self.snapshot)
        return resolution

    @property
    def seen(self) -> Snapshot:
        if self.snapshot is None:
            raise GiveUp("The evidence was not gathered", next_step=f"akeso why {self.run.name}")
        return self.snapshot

    async def evidence(self) -> Snapshot:
        """The evidence; gathered again where this worker took the run over from another."""
        if self.snapshot is None:
            await self.gather()
        return self.seen


def _require_most(snapshot: Snapshot) -> None:
    """One part that cannot be read is a gap in the evidence; several at once are an API server that is going away, and
    nothing may be decided on what was read before it went. Raises ClusterAway."""
    away = [part for part, why in snapshot.missing.items() if ClusterAway.code in why]
    if len(away) >= MANY:
        raise ClusterAway("The API server went away while evidence was gathered", why=f"not read: {', '.join(away)}")


def moved(record: StepRecord, phase: StepPhase, reason: str, message: str, now: datetime, **data: Any) -> StepRecord:
    """The record in its next phase. `data` is merged into what the step remembers; `entered`: since when the phase."""
    if phase is not record.phase:
        data["entered"] = now.isoformat()
    return replace(
        record, phase=phase, reason=reason, message=message[:2048], data={**record.data, **data},
        started_at=record.started_at or now, ended_at=now if phase.terminal else None)
