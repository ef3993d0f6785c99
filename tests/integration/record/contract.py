"""What every ledger promises. Run over Postgres and over memory, so that the memory one stays honest."""
from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from akeso.errors import InvalidInput, Superseded
from akeso.model.alert import Alert, AlertStatus
from akeso.model.evidence import Fact, Series, Snapshot, Tier
from akeso.model.objects import DEPLOYMENT, ObjectRef
from akeso.model.plan import Change, EffectClass, Intent, IntentState, Plan, Reversibility, Verb
from akeso.model.run import Run, RunPhase, StepPhase, StepRecord, StoryLine
from akeso.record import codec
from akeso.record.history import History
from akeso.record.incoming import Incoming, Match
from akeso.record.store import Store
from akeso.testing.memory_store import MemoryStore

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
TARGET = ObjectRef(DEPLOYMENT, "shop", "checkout", "uid-1")
HOSTILE = "nul \0, lone \ud800 and \udfff, ok é 😀 \\u0000 'quote\" $$ %s ; drop table run; --"


@dataclass(frozen=True)
class Ledger:
    store: Store | MemoryStore
    history: History | MemoryStore


def alert(fingerprint: str = "f1", status: AlertStatus = "firing", **more: Any) -> Alert:
    values: dict[str, Any] = {"labels": {"alertname": "A"}, "annotations": {}, "starts_at": NOW, "source": "am", **more}
    return Alert(fingerprint, status, **values)


def match(workflow: str = "w", **more: Any) -> Match:
    values: dict[str, Any] = {"workflow": {"spec": {"steps": [1]}}, "agent": {"name": "a"}, **more}
    return Match(f"shop/Workflow/{workflow}", "shop", workflow, "alert", **values)


def plan(**more: Any) -> Plan:
    patch = ({"op": "add", "path": "/a", "value": 1},)
    change = Change(Verb.PATCH, TARGET, "restart", patch=patch, before={"/a": None})
    values: dict[str, Any] = {
        "action": "restart_deployment", "params": {"x": [1, "y"]}, "change": change, "uid": "uid-1", "generation": 3,
        "resource_version": "77", "effect": EffectClass.SPEC_WRITE, "reversibility": Reversibility.EXACT,
        "service_account": "shop:healer", **more,
    }
    return Plan(**values)


async def claimed(ledger: Ledger, *incoming: Incoming, holder: str = "me", now: datetime = NOW) -> list[Run]:
    """Runs of these alerts, claimed."""
    await ledger.store.save_alerts(incoming or [Incoming(alert(), [match()])], now)
    await ledger.store.beat(holder, now)
    return await ledger.store.claim(holder, 100, now, 15)


class AlertContract:
    async def test_a_firing_alert_becomes_one_signal_and_a_run_for_each_match(self, ledger: Ledger) -> None:
        [saved] = await ledger.store.save_alerts([Incoming(alert(), [match("a"), match("b")])], NOW)
        assert saved.new
        assert len(saved.run_ids) == 2
        signal = await ledger.store.signal(saved.signal_id)
        assert signal is not None
        assert (signal.alert, signal.firing, signal.deliveries) == (alert(), True, 1)
        assert signal.matched == ("shop/Workflow/a", "shop/Workflow/b")
        run = await ledger.store.run(saved.run_ids[0])
        assert run is not None
        assert (run.phase, run.epoch, run.wake_at, run.signal_id) == (RunPhase.PENDING, 0, NOW, saved.signal_id)
        assert run.workflow == {"spec": {"steps": [1]}}
        assert len(run.name) <= 63
        assert await ledger.store.run_named("shop", run.name) == run

    @pytest.mark.parametrize("seed", range(4))
    async def test_any_number_of_deliveries_in_any_order_and_grouping_is_one_signal_and_one_run(
        self, ledger: Ledger, seed: int,
    ) -> None:
        rng = random.Random(seed)
        count = rng.randint(1, 50)
        deliveries: list[AlertStatus] = ["firing", *(rng.choice(("firing", "resolved")) for _ in range(count - 1))]
        rng.shuffle(deliveries)
        left, made = list(deliveries), 0
        while left:
            size = rng.randint(1, 8)
            batch, left = left[:size], left[size:]
            items = [Incoming(alert(status=status), [match()]) for status in batch]
            made += sum(saved.new for saved in await ledger.store.save_alerts(items, NOW))
        [signal] = await ledger.store.signals_for_fingerprints(["f1"])
        assert made == 1
        assert (signal.deliveries, signal.firing) == (count, deliveries[-1] == "firing")
        assert len(await ledger.history.recent_runs(10)) == 1

    async def test_resolved_closes_the_signal_and_wakes_its_waiting_run(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        await ledger.store.release(run.id, run.epoch, None)
        assert await ledger.store.claim("me", 9, LATER, 15) == []
        [saved] = await ledger.store.save_alerts([Incoming(alert(status="resolved", ends_at=LATER), [match()])], LATER)
        assert (saved.new, saved.run_ids) == (False, (run.id,))
        signal = await ledger.store.signal(saved.signal_id)
        assert signal is not None
        assert (signal.resolved_at, signal.alert.ends_at, signal.alert.status) == (LATER, LATER, "resolved")
        assert [r.id for r in await ledger.store.claim("me", 9, LATER, 15)] == [run.id]

    async def test_resolved_before_firing_is_kept_closed_and_starts_nothing(self, ledger: Ledger) -> None:
        [saved] = await ledger.store.save_alerts([Incoming(alert(status="resolved"), [match()])], NOW)
        assert (saved.new, saved.run_ids) == (True, ())
        signal = await ledger.store.signal(saved.signal_id)
        assert signal is not None
        assert not signal.firing

    async def test_the_same_start_reopens_a_signal_and_a_new_start_is_a_new_episode(self, ledger: Ledger) -> None:
        for status in ("firing", "resolved", "firing"):
            [saved] = await ledger.store.save_alerts([Incoming(alert(status=status), [match()])], NOW)
        signal = await ledger.store.signal(saved.signal_id)
        assert signal is not None
        assert signal.firing
        [again] = await ledger.store.save_alerts([Incoming(alert(starts_at=LATER), [match()])], LATER)
        assert again.new
        assert len(again.run_ids) == 1
        both = await ledger.store.signals_for_fingerprints(["f1"], source="am")
        assert [s.id for s in both] == [again.signal_id, saved.signal_id]
        assert await ledger.store.signals_for_fingerprints(["f1"], source="other") == []

    async def test_alerts_that_are_no_longer_listed_are_resolved_unless_seen_since(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger, Incoming(alert("gone"), [match()]), Incoming(alert("firing")),
                              Incoming(alert("gone", source="other")))
        await ledger.store.release(run.id, run.epoch, None)
        await ledger.store.save_alerts([Incoming(alert("fresh"))], LATER)
        resolved = await ledger.store.mark_resolved_absent("am", ["firing"], NOW + timedelta(seconds=1))
        assert resolved == [run.signal_id]
        signal = await ledger.store.signal(run.signal_id)
        assert signal is not None
        assert signal.alert.status == "resolved"
        assert [r.id for r in await ledger.store.claim("me", 9, LATER, 15)] == [run.id]

    @pytest.mark.parametrize("text", [HOSTILE, "x" * 1_000_000, "\udc00" * 5_000, "\0" * 5_000, ""])
    async def test_hostile_text_in_every_place_is_kept_without_harm(self, ledger: Ledger, text: str) -> None:
        labels = {"alertname": text, text: "v"}
        bad = Alert(text, "firing", labels, {"summary": text}, NOW, None, text, text, text, text)
        item = Incoming(bad, [Match(text, "shop", text, text, {text: [text]}, {"a": {text: text}})])
        [saved] = await ledger.store.save_alerts([item], NOW)
        [again] = await ledger.store.save_alerts([item], NOW)
        assert (saved.new, again.new, again.signal_id) == (True, False, saved.signal_id)
        signal = await ledger.store.signal(saved.signal_id)
        assert signal is not None
        assert signal.alert.labels["alertname"] == codec.clean_text(text)
        [found] = await ledger.store.signals_for_fingerprints([text])
        assert found.id == saved.signal_id
        [run] = await claimed(ledger, item)
        await ledger.store.save(
            run.id, run.epoch, run={"reason": text, "message": text},
            steps=[StepRecord("s", reason=text, message=text, data={"t": text})],
            story=[StoryLine(NOW, "gate", text, text)])
        await ledger.store.note_signal(saved.signal_id, text)
        await ledger.store.beat_heartbeat(text, NOW)
        await ledger.store.lock_target(text, run.id)
        wish = Intent("act", run.id, text, run.epoch, plan(diff=text), message=text)
        intent = await ledger.store.intend(wish, run.epoch)
        await ledger.store.settle("act", IntentState.APPLIED, text, NOW)
        await ledger.store.save_evidence(run.id, {"f": Fact("f", text, text)}, codec.dumps({"logs": text}))
        assert intent.plan.diff == codec.clean_text(text)
        [line] = await ledger.store.story(run.id)
        assert line.message == codec.clean_text(text)
        assert await ledger.history.note(saved.signal_id) == codec.clean_text(text)

    async def test_heartbeats_are_kept_for_each_source_and_never_go_back(self, ledger: Ledger) -> None:
        await ledger.store.beat_heartbeat("am", LATER)
        await ledger.store.beat_heartbeat("am", NOW)
        assert dict(await ledger.store.heartbeats()) == {"am": LATER}

    async def test_a_batch_of_nothing_is_nothing(self, ledger: Ledger) -> None:
        assert await ledger.store.save_alerts([], NOW) == []


class RunContract:
    async def test_a_run_is_claimed_once_until_it_is_released(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        assert run.epoch == 1
        assert await ledger.store.claim("other", 9, NOW, 15) == []
        await ledger.store.release(run.id, 1, LATER)
        assert await ledger.store.claim("other", 9, NOW, 15) == []
        [again] = await ledger.store.claim("other", 9, LATER, 15)
        assert (again.id, again.epoch) == (run.id, 2)

    async def test_a_wake_up_that_comes_while_the_run_is_held_is_not_lost(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        await ledger.store.wake(run.id, NOW)
        await ledger.store.release(run.id, run.epoch, None)
        assert [r.id for r in await ledger.store.claim("me", 9, NOW, 15)] == [run.id]

    async def test_the_run_of_a_silent_holder_is_taken_over_and_the_old_one_is_fenced_off(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger, holder="dead")
        soon, late = NOW + timedelta(seconds=14), NOW + timedelta(seconds=16)
        assert await ledger.store.claim("me", 9, soon, 15) == []
        [taken] = await ledger.store.claim("me", 9, late, 15)
        assert (taken.id, taken.epoch) == (run.id, 2)
        line = StoryLine(NOW, "gate", "R", "zombie")
        with pytest.raises(Superseded):
            await ledger.store.save(run.id, 1, run={"phase": RunPhase.FAILED}, steps=[StepRecord("s")], story=[line])
        with pytest.raises(Superseded):
            await ledger.store.intend(Intent("a", run.id, "s", 1, plan()), 1)
        with pytest.raises(Superseded):
            await ledger.store.release(run.id, 1, None)
        after = await ledger.store.run(run.id)
        assert after is not None
        assert (after.phase, after.steps) == (RunPhase.PENDING, ())
        assert await ledger.store.story(run.id) == []
        assert await ledger.store.intents(run.id) == []

    async def test_only_what_changed_is_written_and_steps_keep_their_order(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        steps = [StepRecord(name, data={"n": n}) for n, name in enumerate(("z", "a", "m"))]
        running = {"phase": RunPhase.RUNNING, "target": TARGET, "started_at": NOW}
        await ledger.store.save(run.id, 1, run=running, steps=steps)
        changed = replace(steps[1], phase=StepPhase.SUCCEEDED, attempts=2, started_at=NOW, ended_at=LATER)
        await ledger.store.save(run.id, 1, run={"message": "hello"}, steps=[changed])
        await ledger.store.save(run.id, 1, steps=[StepRecord("late")])
        saved = await ledger.store.run(run.id)
        assert saved is not None
        assert (saved.phase, saved.target, saved.started_at, saved.message) == (RunPhase.RUNNING, TARGET, NOW, "hello")
        assert list(saved.steps) == [steps[0], changed, steps[2], StepRecord("late")]
        await ledger.store.save(run.id, 1, run={"target": None})
        cleared = await ledger.store.run(run.id)
        assert cleared is not None
        assert cleared.target is None

    async def test_a_column_that_nobody_may_change_is_refused(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        with pytest.raises(InvalidInput, match="epoch"):
            await ledger.store.save(run.id, 1, run={"epoch": 9})

    async def test_a_repeated_save_writes_its_story_once(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        lines = [StoryLine(NOW, "alert", "AlertMatched", "one"), StoryLine(NOW, "gate", "Paused", "two")]
        for _ in range(3):
            await ledger.store.save(run.id, 1, story=lines)
        assert await ledger.store.story(run.id) == lines

    async def test_an_ended_run_is_never_claimed_nor_woken_again(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        await ledger.store.save(run.id, 1, run={"phase": RunPhase.SUCCEEDED, "ended_at": NOW})
        await ledger.store.release(run.id, 1, NOW)
        await ledger.store.wake(run.id, NOW)
        assert await ledger.store.claim("me", 9, LATER, 0) == []
        assert await ledger.history.queue_depth(LATER) == 0

    @pytest.mark.parametrize("phase", list(RunPhase))
    async def test_ledger_and_model_agree_which_phases_are_the_end(self, ledger: Ledger, phase: RunPhase) -> None:
        [run] = await claimed(ledger)
        await ledger.store.save(run.id, 1, run={"phase": phase})
        await ledger.store.release(run.id, 1, NOW)
        assert (await ledger.store.claim("me", 9, NOW, 15) == []) is phase.terminal

    async def test_a_target_is_locked_by_one_run_until_that_run_ends(self, ledger: Ledger) -> None:
        one, two = await claimed(ledger, Incoming(alert("1"), [match()]), Incoming(alert("2"), [match()]))
        assert await ledger.history.target_holder(TARGET.key) is None
        assert await ledger.store.lock_target(TARGET.key, one.id) is None
        assert await ledger.store.lock_target(TARGET.key, one.id) is None
        assert await ledger.history.target_holder(TARGET.key) == one.name
        assert await ledger.store.lock_target(TARGET.key, two.id) == one.name
        await ledger.store.save(one.id, one.epoch, run={"phase": RunPhase.ESCALATED})
        assert await ledger.store.lock_target(TARGET.key, two.id) is None
        with pytest.raises(Superseded):
            await ledger.store.lock_target(TARGET.key, one.id)

    async def test_a_run_is_unshown_until_its_newest_version_was_drawn(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        assert await ledger.store.unshown(9) == [run.id]
        drawn = await ledger.store.version(run.id)
        await ledger.store.save(run.id, 1, run={"message": "changed while it was drawn"})
        await ledger.store.mark_shown(run.id, drawn)
        assert await ledger.store.unshown(9) == [run.id]
        await ledger.store.mark_shown(run.id, await ledger.store.version(run.id))
        await ledger.store.mark_shown(run.id, drawn)
        assert await ledger.store.unshown(9) == []

    async def test_an_unknown_run_is_none(self, ledger: Ledger) -> None:
        nobody = "00000000-0000-0000-0000-000000000000"
        assert await ledger.store.run(nobody) is None
        assert await ledger.store.run_named("shop", "none") is None
        assert await ledger.store.evidence(nobody) is None
        await ledger.store.wake(nobody, NOW)


class EffectContract:
    async def test_an_intention_is_committed_once_and_its_first_end_is_final(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        intent = Intent("id1", run.id, "restart", 1, plan())
        first = await ledger.store.intend(intent, 1)
        assert first.plan.hash == intent.plan.hash
        await ledger.store.settle("id1", IntentState.APPLIED, "done", NOW)
        await ledger.store.settle("id1", IntentState.FAILED, "late", LATER)
        again = await ledger.store.intend(replace(intent, plan=plan(generation=9)), 1)
        assert (again.state, again.message, again.plan.generation) == (IntentState.APPLIED, "done", 3)
        assert list(await ledger.store.intents(run.id)) == [again]

    async def test_past_actions_say_how_each_ended(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        ends = {
            "ok": (IntentState.APPLIED, StepPhase.SUCCEEDED), "undone": (IntentState.APPLIED, StepPhase.ROLLED_BACK),
            "no": (IntentState.FAILED, StepPhase.FAILED), "open": (IntentState.APPLIED, StepPhase.VERIFYING),
            "noop": (IntentState.NOOP, StepPhase.SUCCEEDED), "stale": (IntentState.STALE, StepPhase.REFUSED),
        }
        for name, (state, phase) in ends.items():
            await ledger.store.intend(Intent(name, run.id, name, 1, plan(action=name)), 1)
            await ledger.store.settle(name, state, "", NOW)
            await ledger.store.save(run.id, 1, steps=[StepRecord(name, phase)])
        past = await ledger.history.past_actions(TARGET.key, datetime(2020, 1, 1, tzinfo=UTC))
        outcomes = {p.action: p.outcome for p in past}
        assert outcomes == {"ok": "Verified", "undone": "RolledBack", "no": "Failed", "open": "Pending"}
        assert [p.action for p in past] == ["open", "no", "undone", "ok"]
        assert await ledger.history.past_actions(TARGET.key, datetime(2999, 1, 1, tzinfo=UTC)) == []
        assert await ledger.history.past_actions("other", NOW) == []
        assert await ledger.history.past_actions(TARGET.key, NOW.replace(year=2020), except_run=run.id) == []

    async def test_evidence_comes_back_as_it_was_seen(self, ledger: Ledger) -> None:
        [run] = await claimed(ledger)
        facts = {"n": Fact("n", 3, "Pod/x .status"), "names": Fact("names", ("a", "b"), "log", Tier.INTERNET)}
        snapshot = Snapshot(NOW, (alert(),), TARGET, ({"kind": "Pod"},), logs={"a/b/c": "x"},
                            series=(Series({"__name__": "m"}, ((1.0, 2.5),)),), missing={"Node": "Forbidden"})
        await ledger.store.save_evidence(run.id, facts, codec.dumps(snapshot))
        kept = await ledger.store.evidence(run.id)
        assert kept is not None
        assert kept.facts == facts
        assert codec.dumps(codec.snapshot_from_json(kept.snapshot)) == codec.dumps(snapshot)

    async def test_statistics_of_a_workflow(self, ledger: Ledger) -> None:
        assert (await ledger.history.workflow_stats("none")).success_percent is None
        ends = [RunPhase.SUCCEEDED, RunPhase.SUCCEEDED, RunPhase.FAILED, RunPhase.ESCALATED, RunPhase.RUNNING]
        for n, phase in enumerate(ends):
            at = NOW + timedelta(minutes=n)
            [run] = await claimed(ledger, Incoming(alert(str(n)), [match()]), now=at)
            await ledger.store.save(run.id, 1, run={"phase": phase, "ended_at": at if phase.terminal else None})
        stats = await ledger.history.workflow_stats("shop/Workflow/w")
        assert (stats.active, stats.succeeded, stats.failed, stats.success_percent) == (1, 2, 1, 67)
        assert stats.last_run is not None
        assert (stats.last_run.phase, stats.last_run.start) == (RunPhase.RUNNING, NOW + timedelta(minutes=4))
        assert stats.last_success == NOW + timedelta(minutes=1)
        assert [r.phase for r in await ledger.history.recent_runs(2)] == [RunPhase.RUNNING, RunPhase.ESCALATED]
        assert (await ledger.history.counts_by_phase())[RunPhase.SUCCEEDED] == 2
