"""Keeps the in-memory definitions level with the cluster, and tells each definition's author whether it can work.

Handlers hand over what they see; nothing here depends on seeing every event: what is not Ready is looked at again.
"""
from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from akeso.engine.intake import workflow_key
from akeso.engine.readiness import Problem, problems_of
from akeso.errors import AkesoError, NotFound
from akeso.model.api.kinds import (
    AGENT,
    APPROVAL,
    CLUSTER_WORKFLOW,
    MODEL_ENDPOINT,
    WORKFLOW,
    WORKFLOW_RUN,
    CustomKind,
    InvalidObject,
    Resource,
    custom_kind,
    parse,
)
from akeso.model.conditions import ConditionStatus, set_condition
from akeso.model.names import Reason
from akeso.model.objects import Object, ObjectRef, dig

if TYPE_CHECKING:
    from akeso.engine.services import Services

RECHECK_BROKEN = timedelta(seconds=10)   # RBAC is not watched: a grant shows at the latest then
RECHECK_TOUCHED = timedelta(seconds=3)   # at most so often do two writers of one status contradict each other
RECHECK_READY = timedelta(minutes=10)
_ASPECTS = ("AgentReady", "TriggersAccepted", "PermissionsGranted")
_NOT_ENFORCED = ("maxConcurrentRuns", "maxTargetsPerRun", "maxTokensPerRun")
_WORKFLOWS = (WORKFLOW.kind, CLUSTER_WORKFLOW.kind)


@dataclass(slots=True)
class _Entry:
    raw: Object
    check_at: datetime                         # when to write its status next
    judge_at: datetime | None = None           # when to ask again whether it can work; None: now
    problems: Sequence[Problem] = ()


class Catalogue:
    """One per process, on the main loop. `observe` is called for every watch event, also repeated ones."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._woken = asyncio.Event()

    def observe(self, event: str, obj: Object) -> None:
        """Take one object as the API server has it now; `event` DELETED takes it away. Never raises."""
        kind = str(obj.get("kind", ""))
        meta = dig(obj, "metadata", default={})
        key = (kind, str(meta.get("namespace", "")), str(meta.get("name", "")))
        if kind == "Namespace":
            self.services.definitions.put_namespace(key[2], dict(meta.get("labels") or {}), gone=event == "DELETED")
            return
        if kind == APPROVAL.kind or (kind == WORKFLOW_RUN.kind and dig(obj, "spec", "trigger", "signalID")):
            return  # ours: the ledger is the truth about them
        if event == "DELETED":
            self._entries.pop(key, None)
            self.services.definitions.remove(*key)
        else:
            old = self._entries.get(key)
            changed = old is None or dig(old.raw, "metadata", "generation") != meta.get("generation") \
                or dig(old.raw, "metadata", "uid") != meta.get("uid")
            if old is not None and not changed:
                if dig(old.raw, "status") != obj.get("status"):  # another replica's hand, or a stranger's
                    old.check_at = min(old.check_at, self.services.clock() + RECHECK_TOUCHED)
                old.raw = obj
                self._index(kind, obj)
                return
            self._entries[key] = _Entry(obj, self.services.clock())
            self._index(kind, obj)
        if kind in (AGENT.kind, MODEL_ENDPOINT.kind):
            self._dependents_again()
        self._woken.set()

    def _index(self, kind: str, obj: Object) -> None:
        if kind not in (*_WORKFLOWS, AGENT.kind, MODEL_ENDPOINT.kind):
            return
        try:
            self.services.definitions.put(parse(custom_kind(kind), obj))
        except InvalidObject:
            meta = dig(obj, "metadata", default={})
            self.services.definitions.remove(kind, meta.get("namespace", ""), meta.get("name", ""))

    def _dependents_again(self) -> None:
        now = self.services.clock()
        for key, entry in self._entries.items():
            if key[0] in _WORKFLOWS or key[0] == AGENT.kind:
                entry.check_at, entry.judge_at = now, None

    def agents_again(self) -> None:
        """A circuit breaker opened or closed: the Agents show it."""
        now = self.services.clock()
        for key, entry in self._entries.items():
            if key[0] == AGENT.kind:
                entry.check_at = now
        self._woken.set()

    def recheck(self, kind: str, namespace: str, name: str) -> None:
        """Its numbers changed: a run of it began or ended."""
        entry = self._entries.get((kind, namespace, name))
        if entry is not None:
            entry.check_at = self.services.clock()
            self._woken.set()

    async def run(self) -> None:
        """For ever: write the status of whatever is due."""
        while True:
            self._woken.clear()
            now = self.services.clock()
            due = [(k, e) for k, e in self._entries.items() if e.check_at <= now]
            for key, entry in due:
                entry.check_at = now + RECHECK_READY
                await self._reconcile_safely(key, entry)
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0 if due else 5.0):
                    await self._woken.wait()

    async def _reconcile_safely(self, key: tuple[str, str, str], entry: _Entry) -> None:
        try:
            await self._reconcile(key, entry)
        except AkesoError as error:
            entry.check_at = self.services.clock() + RECHECK_BROKEN
            self.services.log.warning(f"{'/'.join(key)}: {error}")
        except Exception:  # edge of the loop: one hostile object must not stop the others
            entry.check_at = self.services.clock() + RECHECK_READY
            self.services.log.exception(f"{'/'.join(key)}: could not be reconciled")

    async def _reconcile(self, key: tuple[str, str, str], entry: _Entry) -> None:
        kind = custom_kind(key[0])
        if kind == WORKFLOW_RUN:
            await self._write(kind, key, entry, [Problem(
                Reason.UNSUPPORTED, "this version of Akeso starts runs from alerts only. Next: post an alert that the "
                "Workflow matches, or try akeso simulate")], {})
            return
        try:
            resource = parse(kind, entry.raw)
        except InvalidObject as error:
            problems: Sequence[Problem] = [Problem(Reason.INVALID_SPEC, str(error))]
            extra: Mapping[str, Any] = {}
        else:
            problems, extra = await self._look(resource, entry)
        if problems:
            entry.check_at = self.services.clock() + RECHECK_BROKEN
            entry.judge_at = None
        await self._write(kind, key, entry, problems, extra)

    async def _look(self, resource: Resource[Any], entry: _Entry) -> tuple[Sequence[Problem], Mapping[str, Any]]:
        if resource.kind in _WORKFLOWS:
            now = self.services.clock()
            # permissions are asked of the API server: not for numbers
            if entry.judge_at is None or entry.judge_at <= now:
                entry.problems = await problems_of(self.services, resource)
                entry.judge_at = now + RECHECK_READY
            return entry.problems, await self._workflow_numbers(resource)
        if resource.kind == AGENT.kind:
            return self._agent_problems(resource), self._agent_numbers(resource)
        return await self._endpoint(resource)

    async def _workflow_numbers(self, resource: Resource[Any]) -> Mapping[str, Any]:
        stats = await self.services.history.workflow_stats(
            workflow_key(resource.kind, resource.namespace, resource.name))
        body: dict[str, Any] = {"stepCount": len(resource.spec.steps), "activeRuns": stats.active,
                                "succeededRuns": stats.succeeded, "failedRuns": stats.failed}
        if stats.success_percent is not None:
            body["successPercent"] = stats.success_percent
        if stats.last_run is not None:
            body["lastRun"] = {"name": stats.last_run.name, "phase": str(stats.last_run.phase),
                               "startTime": stats.last_run.start.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if stats.last_success is not None:
            body["lastSuccessfulTime"] = stats.last_success.strftime("%Y-%m-%dT%H:%M:%SZ")
        return body

    def _agent_problems(self, resource: Resource[Any]) -> list[Problem]:
        return [
            Problem(Reason.ENDPOINT_NOT_FOUND, f"ModelEndpoint {ref.name} does not exist. Next: kubectl apply a "
                    f"ModelEndpoint named {ref.name} in namespace {resource.namespace}")
            for ref in resource.spec.model_endpoint_refs
            if self.services.definitions.get("ModelEndpoint", resource.namespace, ref.name) is None]

    def _agent_numbers(self, resource: Resource[Any]) -> Mapping[str, Any]:
        states = self.services.breakers.snapshot()
        refs = resource.spec.model_endpoint_refs
        of = [states.get(f"model/{resource.namespace}/{ref.name}", "closed") for ref in refs]
        usable = [ref.name for ref, state in zip(refs, of, strict=True) if state != "open"]
        body: dict[str, Any] = {"circuit": "Closed" if "open" not in of else "Open"}
        if usable:
            body["activeModel"] = usable[0]
        return body

    async def _endpoint(self, resource: Resource[Any]) -> tuple[Sequence[Problem], Mapping[str, Any]]:
        """Is it there, does it keep the schema, how fast is it? Never asked more often than the recheck periods."""
        try:
            found = await (await self.services.models.endpoint(resource)).probe()
        except AkesoError as error:
            return [Problem(Reason.MODEL_UNAVAILABLE, str(error))], {}
        if not found.answers:
            return [Problem(Reason.MODEL_UNAVAILABLE, found.message)], {}
        return [], {"latencyMilliseconds": found.latency_milliseconds, "features": sorted(found.features)}

    async def _write(
        self, kind: CustomKind[Any], key: tuple[str, str, str], entry: _Entry, problems: Sequence[Problem],
        extra: Mapping[str, Any],
    ) -> None:
        """The status, only where it says something new."""
        generation = int(dig(entry.raw, "metadata", "generation", default=0))
        old = dig(entry.raw, "status", default={})
        body = {**extra, "observedGeneration": generation,
                "conditions": _conditions(kind, dig(old, "conditions", default=[]), problems, generation,
                                          self.services.clock(), _ready_message(kind, entry.raw))}
        if all(old.get(k) == v for k, v in body.items()):
            return
        ref = ObjectRef(kind.resource, key[1], key[2])
        try:
            entry.raw = await self.services.cluster.patch_status(kind.resource, ref, body)
            self._index(key[0], entry.raw)  # matching passes over what is not Ready, so it must see this
        except NotFound:
            self._entries.pop(key, None)


def _ready_message(kind: CustomKind[Any], obj: Object) -> str:
    """Limits that a person set and that this version does not keep must not pass for kept."""
    limits = dig(obj, "spec", "limits", default={}) if kind.kind == AGENT.kind else {}
    idle = [name for name in _NOT_ENFORCED if name in limits]
    return f"it can run; not enforced by this version: limits.{', limits.'.join(idle)}" if idle else "it can run"


def _conditions(
    kind: CustomKind[Any], old: Sequence[Mapping[str, Any]], problems: Sequence[Problem], generation: int,
    now: datetime, ready: str,
) -> list[Mapping[str, Any]]:
    """Ready, Reconciling, Stalled as kstatus reads them, and the aspects of a Workflow."""
    reason = problems[0].reason if problems else Reason.READY
    message = "; ".join(p.message for p in problems)[:4096] if problems else ready
    wanted: list[tuple[str, ConditionStatus, str, str]] = [
        ("Ready", "False" if problems else "True", reason, message),
        ("Reconciling", "False", reason, message),
        ("Stalled", "True" if problems else "False", reason, message)]
    if kind == WORKFLOW_RUN:
        wanted[0] = ("Succeeded", "False", reason, message)
    if kind.kind in _WORKFLOWS:
        for aspect in _ASPECTS:
            wrong = next((p for p in problems if p.aspect == aspect), None)
            wanted.append((aspect, "False" if wrong else "True", wrong.reason if wrong else Reason.READY,
                           wrong.message if wrong else "as needed"))
    result: list[Mapping[str, Any]] = list(old)
    for type_, status, why, text in wanted:
        result = set_condition(result, type_, status, why, text, generation=generation, now=now)
    return result
