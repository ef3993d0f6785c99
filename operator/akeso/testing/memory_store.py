"""The ledger in memory, for tests: the contract of `record.store.Store` and `record.history.History`.

tests/integration/record/test_store_contract.py runs the same tests over this and over Postgres.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from akeso.clock import system_clock
from akeso.errors import Superseded
from akeso.model.alert import Signal
from akeso.model.evidence import Facts, PastAction
from akeso.model.plan import Intent, IntentState
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord, StoryLine
from akeso.record import codec, incoming
from akeso.record.evidence import Evidence, clean_json
from akeso.record.history import LastRun, Stats
from akeso.record.incoming import Folded, Incoming, Saved
from akeso.record.runs import patch_of
from akeso.record.signals import saved_in_order


@dataclass(slots=True)
class _Row:
    run: Run
    workflow_key: str
    holder: str | None = None
    held_at: datetime | None = None
    story: list[StoryLine] = field(default_factory=list)
    version: int = 0
    shown: int = -1


class MemorySignals:
    """Signals and heartbeats."""

    _signals: dict[str, Signal]
    _notes: dict[str, str]
    _heartbeats: dict[str, datetime]
    _rows: dict[str, _Row]

    async def save_alerts(self, batch: Sequence[Incoming], now: datetime) -> list[Saved]:
        ids, folded = incoming.fold(batch)
        new: set[str] = set()
        runs: dict[str, list[str]] = {}
        for one in folded:
            if one.id not in self._signals:
                new.add(one.id)
            self._save_signal(one, now)
            resolved = one.alert.status == "resolved"
            runs[one.id] = [*(self._wake_runs(one.id, now) if resolved else ()), *self._create_runs(one, now)]
        return saved_in_order(ids, new, runs)

    def _save_signal(self, one: Folded, now: datetime) -> None:
        alert = replace(codec.alert_from_json(codec.loads(codec.dumps(one.alert))),
                        source=codec.bounded(one.alert.source), fingerprint=codec.bounded(one.alert.fingerprint))
        old = self._signals.get(one.id)
        resolved_at = None if alert.status == "firing" else (old and old.resolved_at) or now
        self._signals[one.id] = Signal(
            id=one.id, alert=alert, first_seen=old.first_seen if old else now,
            last_seen=max(old.last_seen, now) if old else now, resolved_at=resolved_at,
            deliveries=one.deliveries + (old.deliveries if old else 0),
            matched=tuple(sorted(one.matched.union(old.matched if old else ()))),
        )

    def _create_runs(self, one: Folded, now: datetime) -> list[str]:
        created = []
        rows = incoming.rows([one])
        for row in rows.runs:
            taken = any((r.run.namespace, r.run.name) == (row["namespace"], row["name"]) for r in self._rows.values())
            if row["id"] in self._rows or taken:
                continue
            body = codec.loads(codec.dumps(rows.definitions[row["definition"]]))
            text = codec.clean(row)
            self._rows[row["id"]] = _Row(Run(
                id=row["id"], name=text["name"], namespace=text["namespace"], signal_id=one.id,
                trigger=text["trigger"], workflow=body["workflow"], agent=body["agent"], phase=RunPhase.PENDING,
                epoch=0, created_at=now, wake_at=now,
            ), text["workflow_key"])
            created.append(row["id"])
        return created

    def _wake_runs(self, signal_id: str, now: datetime) -> list[str]:
        return [row.run.id for row in self._rows.values() if row.run.signal_id == signal_id and _wake(row, now)]

    async def signal(self, signal_id: str) -> Signal | None:
        return self._signals.get(signal_id)

    async def signals_for_fingerprints(self, fingerprints: Sequence[str], *, source: str | None = None) -> list[Signal]:
        wanted = {codec.bounded(f) for f in fingerprints}
        found = [s for s in self._signals.values() if s.alert.fingerprint in wanted
                 and (source is None or s.alert.source == codec.bounded(source))]
        return sorted(sorted(found, key=lambda s: s.id), key=lambda s: s.alert.starts_at, reverse=True)

    async def mark_resolved_absent(self, source: str, still_firing: Sequence[str], now: datetime) -> list[str]:
        firing = {codec.bounded(f) for f in still_firing}
        absent = [s for s in self._signals.values() if s.alert.source == codec.bounded(source) and s.firing
                  and s.last_seen <= now and s.alert.fingerprint not in firing]
        for signal in absent:
            self._signals[signal.id] = replace(
                signal, resolved_at=now, alert=replace(signal.alert, status="resolved"))
            self._wake_runs(signal.id, now)
        return [signal.id for signal in absent]

    async def note_signal(self, signal_id: str, note: str) -> None:
        if signal_id in self._signals:
            self._notes[signal_id] = codec.clean_text(note)

    async def note(self, signal_id: str) -> str:
        return self._notes.get(signal_id, "")

    async def beat_heartbeat(self, source: str, now: datetime) -> None:
        key = codec.bounded(source)
        self._heartbeats[key] = max(now, self._heartbeats.get(key, now))

    async def heartbeats(self) -> Mapping[str, datetime]:
        return dict(sorted(self._heartbeats.items()))


class MemoryRuns:
    """Runs, targets, intents, evidence and story."""

    _rows: dict[str, _Row]
    _beats: dict[str, datetime]
    _locks: dict[str, str]
    _intents: dict[str, tuple[Intent, datetime]]
    _evidence: dict[str, Evidence]

    async def beat(self, replica_id: str, now: datetime) -> None:
        self._beats[replica_id] = max(now, self._beats.get(replica_id, now))

    async def claim(self, holder: str, limit: int, now: datetime, stale_after: float) -> list[Run]:
        silent_since = now - timedelta(seconds=stale_after)
        open_rows = [row for row in self._rows.values() if not row.run.phase.terminal]
        orphaned = [row for row in open_rows if row.holder and row.held_at
                    and self._beats.get(row.holder, row.held_at) < silent_since]
        due = [row for row in open_rows if row.holder is None and row.run.wake_at and row.run.wake_at <= now]
        due.sort(key=lambda row: row.run.wake_at or now)
        taken = [*orphaned, *due][:limit]
        for row in taken:
            row.run = replace(row.run, epoch=row.run.epoch + 1, wake_at=None)
            row.holder, row.held_at = holder, now
        return sorted((row.run for row in taken), key=lambda run: (run.created_at, run.id))

    async def release(self, run_id: str, epoch: int, wake_at: datetime | None) -> None:
        row = self._fenced(run_id, epoch)
        row.holder = row.held_at = None
        times = [t for t in (row.run.wake_at, wake_at) if t]
        row.run = replace(row.run, wake_at=min(times) if times else None)

    async def save(
        self, run_id: str, epoch: int, *, run: Mapping[str, Any] | None = None,
        steps: Sequence[StepRecord] = (), story: Sequence[StoryLine] = (),
    ) -> None:
        patch_of(run or {})
        row = self._fenced(run_id, epoch)
        changed: dict[str, Any] = {key: codec.plain(value) for key, value in (run or {}).items()}
        if "phase" in changed:
            changed["phase"] = RunPhase(changed["phase"])
        by_name = {step.name: step for step in row.run.steps}
        for step in steps:
            kept = codec.step_from(codec.loads(codec.dumps(codec.step_to_json(step, 0))))
            by_name[kept.name] = kept
        row.run = replace(row.run, **changed, steps=tuple(by_name.values()))
        row.version += 1
        for line in story:
            clean = StoryLine(line.at, *(codec.clean_text(text) for text in (line.kind, line.reason, line.message)))
            if clean not in row.story:
                row.story.append(clean)
        if row.run.phase.terminal or row.run.phase is RunPhase.WAITING:
            self._locks = {key: holder for key, holder in self._locks.items() if holder != run_id}

    async def wake(self, run_id: str, now: datetime) -> None:
        if run_id in self._rows:
            _wake(self._rows[run_id], now)

    async def unshown(self, limit: int) -> list[str]:
        return [run_id for run_id, row in self._rows.items() if row.shown != row.version][:limit]

    async def version(self, run_id: str) -> int:
        return self._rows[run_id].version if run_id in self._rows else -1

    async def mark_shown(self, run_id: str, version: int) -> None:
        if run_id in self._rows:
            self._rows[run_id].shown = max(self._rows[run_id].shown, version)

    async def run(self, run_id: str) -> Run | None:
        row = self._rows.get(run_id)
        return row.run if row else None

    async def run_named(self, namespace: str, name: str) -> Run | None:
        return next((r.run for r in self._rows.values() if (r.run.namespace, r.run.name) == (namespace, name)), None)

    async def lock_target(self, target_key: str, run_id: str) -> str | None:
        row = self._rows.get(run_id)
        if row is None or row.run.phase.terminal:
            raise Superseded("This run has ended", why=f"run {run_id} cannot lock a target any more")
        holder = self._locks.setdefault(codec.bounded(target_key), run_id)
        return None if holder == run_id else self._rows[holder].run.name

    async def intend(self, intent: Intent, epoch: int) -> Intent:
        self._fenced(intent.run_id, epoch)
        kept = codec.intent_from({**codec.loads(codec.dumps(intent)), "epoch": epoch})
        return self._intents.setdefault(intent.action_id, (kept, system_clock()))[0]

    async def settle(self, action_id: str, state: IntentState, message: str, now: datetime) -> None:
        if action_id in self._intents:
            intent, created = self._intents[action_id]
            if intent.state == IntentState.INTENT:
                self._intents[action_id] = (replace(intent, state=state, message=codec.clean_text(message)), created)

    async def intents(self, run_id: str) -> Sequence[Intent]:
        return [intent for intent, _ in self._intents.values() if intent.run_id == run_id]

    async def save_evidence(self, run_id: str, facts: Facts, snapshot_json: str) -> None:
        kept = codec.facts_from_json(codec.loads(codec.dumps(codec.facts_to_json(facts))))
        self._evidence[run_id] = Evidence(kept, codec.loads(clean_json(snapshot_json)), system_clock())

    async def evidence(self, run_id: str) -> Evidence | None:
        return self._evidence.get(run_id)

    async def story(self, run_id: str) -> list[StoryLine]:
        return list(self._rows[run_id].story) if run_id in self._rows else []

    def _fenced(self, run_id: str, epoch: int) -> _Row:
        row = self._rows.get(run_id)
        if row is None or row.run.epoch != epoch:
            raise Superseded(why=f"run {run_id} is no longer at epoch {epoch}")
        return row


class MemoryStore(MemorySignals, MemoryRuns):
    """Write side and history in one object, empty at first."""

    def __init__(self) -> None:
        self._signals, self._notes, self._heartbeats = {}, {}, {}
        self._rows, self._beats, self._locks = {}, {}, {}
        self._intents, self._evidence = {}, {}

    async def ping(self) -> None:
        """Memory always answers."""

    async def past_actions(
        self, target_key: str, since: datetime, *, except_run: str | None = None,
    ) -> list[PastAction]:
        found = []
        for intent, at in reversed(self._intents.values()):
            key = codec.bounded(intent.plan.change.target.key)
            nothing_done = intent.state in (IntentState.NOOP, IntentState.STALE)
            if intent.run_id == except_run:
                continue
            if key == codec.bounded(target_key) and at >= since and not nothing_done:
                row = self._rows[intent.run_id]
                found.append(PastAction(at, row.workflow_key, intent.plan.action, key, _outcome(intent, row.run)))
        return found

    async def target_holder(self, target_key: str) -> str | None:
        holder = self._locks.get(codec.bounded(target_key))
        return self._rows[holder].run.name if holder else None

    async def actions_of_agent(self, namespace: str, name: str, since: datetime) -> int:
        found = 0
        for intent, at in self._intents.values():
            agent = self._rows[intent.run_id].run.agent
            if at >= since and intent.state in (IntentState.INTENT, IntentState.APPLIED):
                found += (agent.get("namespace"), agent.get("name")) == (namespace, name)
        return found

    async def workflow_stats(self, workflow_key: str) -> Stats:
        runs = [row.run for row in self._rows.values() if row.workflow_key == codec.bounded(workflow_key)]
        runs.sort(key=lambda run: run.id)
        last = max(runs, key=lambda run: run.created_at, default=None)
        successes = [run.ended_at for run in runs if run.phase is RunPhase.SUCCEEDED and run.ended_at]
        return Stats(
            active=sum(not run.phase.terminal for run in runs),
            succeeded=sum(run.phase is RunPhase.SUCCEEDED for run in runs),
            failed=sum(run.phase in (RunPhase.FAILED, RunPhase.ROLLED_BACK) for run in runs),
            last_run=LastRun(last.name, last.phase, last.started_at or last.created_at) if last else None,
            last_success=max(successes, default=None),
        )

    async def recent_runs(self, limit: int) -> list[Run]:
        runs = sorted((row.run for row in self._rows.values()), key=lambda run: run.id)
        return sorted(runs, key=lambda run: run.created_at, reverse=True)[:limit]

    async def counts_by_phase(self) -> Mapping[RunPhase, int]:
        return Counter(row.run.phase for row in self._rows.values())

    async def queue_depth(self, now: datetime) -> int:
        return sum(not r.run.phase.terminal and r.holder is None and r.run.wake_at is not None and r.run.wake_at <= now
                   for r in self._rows.values())


def _wake(row: _Row, now: datetime) -> bool:
    if row.run.phase.terminal:
        return False
    row.run = replace(row.run, wake_at=min(row.run.wake_at or now, now))
    return True


def _outcome(intent: Intent, run: Run) -> str:
    if intent.state is IntentState.FAILED:
        return "Failed"
    step = next((s for s in run.steps if s.name == intent.step), None)
    if step is None:
        return "Pending"
    if step.phase is StepPhase.SUCCEEDED:
        return "Verified"
    ended_badly = step.phase in (StepPhase.ROLLED_BACK, StepPhase.FAILED, StepPhase.ESCALATED)
    return str(step.phase) if ended_badly else "Pending"
