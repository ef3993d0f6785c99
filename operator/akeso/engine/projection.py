"""Shows runs in the Kubernetes API: the WorkflowRun, its status, and Events on the run and on the healed object.

The ledger is the truth; this is a picture of it, drawn off the critical path and drawn again until it is up to date.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from akeso.clock import format_time
from akeso.engine.status import status_of
from akeso.errors import AkesoError, Conflict, NotFound
from akeso.model.api.kinds import WORKFLOW_RUN
from akeso.model.names import (
    API_VERSION,
    LABEL_AGENT,
    LABEL_ALERTNAME,
    LABEL_FINGERPRINT,
    LABEL_TRIGGER,
    LABEL_WORKFLOW,
    Reason,
)
from akeso.model.objects import Object, ObjectRef, dig, ref_of
from akeso.model.run import Run, RunPhase, StoryLine

if TYPE_CHECKING:
    from akeso.engine.services import Services

EventKind = Literal["Normal", "Warning"]
_AT_ONCE = 8  # pictures drawn at the same time: in a storm the webhook and the workers come first
_SWEEP_SECONDS = 5.0
_GATHER_SECONDS = 0.2  # a run that moves fast is drawn once, and not while it hurries from the alert to its write
# story reason -> (type, action), the table of design/kubernetes-api.md 1.9
_EVENTS: dict[str, tuple[EventKind, str]] = {
    Reason.ALERT_MATCHED: ("Normal", "StartRun"), Reason.APPROVAL_NEEDED: ("Normal", "RequestApproval"),
    Reason.APPROVED: ("Normal", "RequestApproval"), Reason.DENIED: ("Warning", "RequestApproval"),
    Reason.APPROVAL_EXPIRED: ("Warning", "RequestApproval"), Reason.ACTION_APPLIED: ("Normal", "ApplyAction"),
    Reason.ACTION_FAILED: ("Warning", "ApplyAction"), Reason.ACTION_FORBIDDEN: ("Warning", "ApplyAction"),
    Reason.VERIFIED: ("Normal", "VerifyRun"), Reason.STILL_UNHEALTHY: ("Warning", "VerifyRun"),
    Reason.ROLLED_BACK: ("Normal", "UndoRun"), Reason.ROLLBACK_FAILED: ("Warning", "UndoRun"),
    Reason.UNCERTAIN: ("Warning", "AskModel"), Reason.MODEL_UNAVAILABLE: ("Warning", "AskModel"),
}
_ON_TARGET = ("action", "verification", "undo", "outcome", "gate")  # what `kubectl describe` of the patient tells


class StatusProjector:
    """Marks are cheap; one task draws. What was not drawn before a crash is found again by `unshown`."""

    def __init__(self, services: Services, drawn: Callable[[Run], None] = lambda run: None) -> None:
        """`drawn` is told of each run whose picture is up to date again."""
        self.services = services
        self._drawn = drawn
        self._due: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._uids: dict[str, str] = {}
        self._told: dict[str, int] = {}  # story lines whose Events were posted by this process

    def mark(self, run_id: str) -> None:
        self._due[run_id] = None
        self._changed.set()

    async def run(self) -> None:
        """For ever. Sweeps at once and every few seconds, however busy it is: there it finds what a dead process left
        undrawn, and what could not be drawn."""
        loop = asyncio.get_running_loop()
        sweep_at = loop.time()
        while True:
            if loop.time() >= sweep_at:
                await self._sweep()
                sweep_at = loop.time() + _SWEEP_SECONDS
            self._changed.clear()
            await self.drain()
            with suppress(TimeoutError):  # not wait_for: before Python 3.12 it can swallow the cancellation of a stop
                async with asyncio.timeout(max(0.0, sweep_at - loop.time())):
                    await self._changed.wait()
                await asyncio.sleep(_GATHER_SECONDS)

    async def drain(self) -> None:
        """Draw what is due now."""
        batch, self._due = list(self._due), {}
        for some in (batch[i:i + _AT_ONCE] for i in range(0, len(batch), _AT_ONCE)):
            await asyncio.gather(*(self._draw_safely(i) for i in some))

    async def _sweep(self) -> None:
        try:
            for run_id in await self.services.store.unshown(limit=200):
                self._due[run_id] = None
        except AkesoError as error:
            self.services.log.warning(str(error))

    async def _draw_safely(self, run_id: str) -> None:
        try:
            await self.draw(run_id)
        except AkesoError as error:
            self.services.log.warning(f"status not written: {error}", run_id=run_id)
        except Exception:  # edge of the loop: one run that cannot be drawn must not stop the others
            self.services.log.exception("status not written", run_id=run_id)

    async def draw(self, run_id: str) -> None:
        version = await self.services.store.version(run_id)
        run = await self.services.store.run(run_id)
        if run is None:
            return
        story = await self.services.store.story(run_id)
        uid = await self._ensure(run)
        ref = ObjectRef(WORKFLOW_RUN.resource, run.namespace, run.name, uid)
        existing = await self.services.cluster.get(ref.kind, run.namespace, run.name)
        conditions = dig(existing, "status", "conditions", default=[])
        generation = dig(existing, "metadata", "generation", default=1)
        body = status_of(run, story, conditions, self.services.clock(), generation)
        with suppress(NotFound):  # deleted by a person: the ledger keeps the record
            await self.services.cluster.patch_status(ref.kind, ref, body)
        await self._post_events(run, story, ref)
        await self.services.store.mark_shown(run.id, version)
        self._drawn(run)

    async def ensure(self, run_id: str) -> str:
        """Make sure that the WorkflowRun exists; returns its uid."""
        run = await self.services.store.run(run_id)
        if run is None:
            raise NotFound(f"run {run_id} is not in the database")
        return await self._ensure(run)

    async def _ensure(self, run: Run) -> str:
        known = self._uids.get(run.id)
        if known:
            return known
        body = await self._manifest(run)
        try:
            made: Object | None = await self.services.cluster.create(WORKFLOW_RUN.resource, run.namespace, body)
        except Conflict:
            made = await self.services.cluster.get(WORKFLOW_RUN.resource, run.namespace, run.name)
        uid = str(dig(made, "metadata", "uid", default=""))
        if uid:  # empty where it was deleted in between: the next drawing makes it again
            self._uids[run.id] = uid
        return uid

    async def _manifest(self, run: Run) -> dict[str, Any]:
        signal = await self.services.store.signal(run.signal_id)
        alert = signal.alert if signal else None
        kind = run.workflow["kind"]
        owner = {"apiVersion": API_VERSION, "kind": kind, "name": run.workflow["name"], "uid": run.workflow["uid"],
                 "controller": True, "blockOwnerDeletion": False}
        labels = {LABEL_WORKFLOW: run.workflow["name"], LABEL_TRIGGER: run.trigger,
                  LABEL_AGENT: run.agent.get("name", ""),
                  LABEL_ALERTNAME: alert.name if alert else "", LABEL_FINGERPRINT: alert.fingerprint if alert else ""}
        trigger: dict[str, Any] = {"type": "Alert", "name": run.trigger, "signalID": run.signal_id}
        if alert:
            trigger["alert"] = {
                "fingerprint": alert.fingerprint[:64], "groupKey": alert.group_key[:2048],
                "startsAt": format_time(alert.starts_at), "generatorURL": alert.generator_url[:4096],
                "labels": {k: v[:2048] for k, v in list(alert.labels.items())[:64]},
                "annotations": {k: v[:8192] for k, v in list(alert.annotations.items())[:64]}}
        return {"apiVersion": API_VERSION, "kind": "WorkflowRun",
                "metadata": {"name": run.name, "namespace": run.namespace, "ownerReferences": [owner],
                             "labels": {k: _label(v) for k, v in labels.items() if _label(v)}},
                "spec": {"workflowRef": {"kind": kind, "name": run.workflow["name"]}, "trigger": trigger}}

    async def _post_events(self, run: Run, story: Sequence[StoryLine], ref: ObjectRef) -> None:
        """An Event a line that matters, on the run and on the patient; named after the line, so a replay adds none."""
        for number, line in list(enumerate(story))[self._told.get(run.id, 0):]:
            kind = _event_of(run, line)
            if kind is None:
                continue
            type_, action = kind
            target = run.target
            note = line.message[:1024]
            await self.services.recorder.post(
                ref, line.reason, note, action=action, related=target, kind=type_, key=f"{run.id}-{number}")
            if target is not None and line.kind in _ON_TARGET:
                patient = await self._with_uid(target)
                if patient is not None:
                    await self.services.recorder.post(
                        patient, line.reason, f"{run.name}: {note}", action=action, related=ref, kind=type_,
                        key=f"{run.id}-{number}-target")
        self._told[run.id] = len(story)
        if run.phase.terminal:
            self._told.pop(run.id)
            self._uids.pop(run.id, None)

    async def _with_uid(self, target: ObjectRef) -> ObjectRef | None:
        if target.uid:
            return target
        obj = await self.services.cluster.get(target.kind, target.namespace, target.name)
        return ref_of(obj, target.kind) if obj else None


def _event_of(run: Run, line: StoryLine) -> tuple[EventKind, str] | None:
    if line.kind == "target":
        return None
    if line.kind == "gate":
        return None if line.reason == Reason.READY else ("Warning", "RefuseRun")
    if line.kind == "outcome":
        return ("Normal" if run.phase is RunPhase.SUCCEEDED else "Warning", "FinishRun")
    return _EVENTS.get(line.reason)


def _label(value: str) -> str:
    """A label value: at most 63 of [A-Za-z0-9._-]. Alert labels are arbitrary UTF-8 and hostile."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in value)[:63]
    return kept.strip("._-")
