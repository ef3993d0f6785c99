"""Many at once on real Postgres: claims, deliveries, group commit."""
from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime

import psycopg
import psycopg.rows
import pytest
from tests.integration.record.contract import NOW, alert, match

from akeso.errors import DatabaseAway, InvalidInput
from akeso.record.history import History
from akeso.record.incoming import Incoming, Saved
from akeso.record.intake import Intake
from akeso.record.pool import Database
from akeso.record.sql import queries
from akeso.record.store import Store

pytestmark = pytest.mark.integration


async def test_two_replicas_claim_a_thousand_runs_once_each(database: Database) -> None:
    store = Store(database)
    await store.save_alerts([Incoming(alert(str(n)), [match()]) for n in range(1_000)], NOW)

    async def drain(replica: Store, holder: str) -> list[str]:
        await replica.beat(holder, NOW)
        mine: list[str] = []
        while runs := await replica.claim(holder, 7, NOW, 15):
            assert {run.epoch for run in runs} == {1}
            mine += [run.id for run in runs]
        return mine

    one, two = await asyncio.gather(drain(Store(database), "one"), drain(Store(database), "two"))
    assert len(one) + len(two) == len({*one, *two}) == 1_000
    assert one
    assert two


async def test_a_claim_whose_reply_was_lost_is_claimed_again_by_the_same_living_replica(database: Database) -> None:
    store = Store(database)
    await store.save_alerts([Incoming(alert(), [match()])], NOW)
    await store.beat("me", NOW)
    # the same statement, as a connection would have sent it whose reply never arrived
    await database.rows("claim", {"holder": "me", "limit": 1, "now": NOW, "silent_since": NOW, "held": []})
    [run] = await store.claim("me", 9, NOW, 15)
    assert run.epoch == 2
    assert await store.claim("me", 9, NOW, 15) == []


async def test_overlapping_batches_in_any_order_neither_deadlock_nor_double(store: Store, history: History) -> None:
    async def deliver(seed: int) -> list[Saved]:
        rng = random.Random(seed)
        items = [Incoming(alert(str(n), rng.choice(("firing", "resolved"))), [match()]) for n in range(100)]
        items += [Incoming(alert(str(n)), [match()]) for n in range(100)]
        rng.shuffle(items)
        return await store.save_alerts(items, NOW)

    results = await asyncio.gather(*(deliver(seed) for seed in range(8)))
    assert sum(saved.new for result in results for saved in result) == 100
    assert len(await history.recent_runs(1_000)) == 100
    [signal] = await store.signals_for_fingerprints(["7"])
    assert signal.deliveries == 16


async def test_intake_answers_each_caller_with_its_own_alerts_in_few_transactions(store: Store) -> None:
    sizes: list[int] = []
    intake = Intake(store, committed=lambda alerts, _seconds: sizes.append(alerts))
    groups = [[Incoming(alert(f"{group}-{n}"), [match()]) for n in range(group % 3 + 1)] for group in range(60)]
    answers = await asyncio.gather(*(intake.save(group) for group in groups))
    for group, saved in zip(groups, answers, strict=True):
        assert [s.new for s in saved] == [True] * len(group)
        for item, one in zip(group, saved, strict=True):
            signal = await store.signal(one.signal_id)
            assert signal is not None
            assert signal.alert == item.alert
    assert sum(sizes) == sum(map(len, groups))
    assert len(sizes) <= 6


class RefusingStore:
    """A store that refuses one fingerprint for ever, or is away while `away` is set."""

    def __init__(self, store: Store, bad: str = "") -> None:
        self.store, self.bad, self.away, self.calls = store, bad, False, 0

    async def save_alerts(self, batch: Sequence[Incoming], now: datetime) -> list[Saved]:
        self.calls += 1
        if self.away:
            raise DatabaseAway
        if any(item.alert.fingerprint == self.bad for item in batch):
            raise InvalidInput("Postgres cannot store this value")
        return await self.store.save_alerts(batch, now)


async def test_one_alert_that_postgres_refuses_fails_no_other_not_even_in_its_own_post(store: Store) -> None:
    intake = Intake(RefusingStore(store, "bad"))
    mixed = [Incoming(alert(f), [match()]) for f in ("a", "bad", "c")]
    answers = await asyncio.gather(intake.save(mixed), *(intake.save([Incoming(alert(str(n)))]) for n in range(30)))
    assert [bool(saved.rejected) for saved in answers[0]] == [False, True, False]
    assert all(saved.new for answer in answers[1:] for saved in answer)
    assert await store.signal(answers[0][0].signal_id) is not None
    assert await store.signal(answers[0][1].signal_id) is None


async def test_while_postgres_is_away_every_caller_is_told_and_none_waits(store: Store) -> None:
    refusing = RefusingStore(store)
    intake = Intake(refusing)
    refusing.away = True
    answers = await asyncio.gather(*(intake.save([Incoming(alert(str(n)))]) for n in range(40)), return_exceptions=True)
    assert all(isinstance(answer, DatabaseAway) for answer in answers)
    assert refusing.calls <= 6, "each caller on its own would multiply the load on a database that is down"
    refusing.away = False
    assert (await intake.save([Incoming(alert())]))[0].new


async def test_a_caller_that_goes_away_takes_nobody_with_it(store: Store) -> None:
    intake = Intake(store)
    tasks = [asyncio.create_task(intake.save([Incoming(alert(str(n)))])) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, list) for answer in done[1::2])


async def test_claiming_does_not_slow_down_with_the_depth_of_the_ledger(database_url: str, database: Database) -> None:
    await Store(database).save_alerts([Incoming(alert(), [match()])], NOW)
    with psycopg.connect(database_url, autocommit=True, row_factory=psycopg.rows.tuple_row) as connection:
        connection.execute("""
            insert into run (id, name, namespace, signal_id, workflow_key, trigger, workflow, agent, phase, wake_at,
                created_at)
            select gen_random_uuid(), 'n' || n, 'shop', (select id from signal), 'w' || n, 't', '{}', '{}',
                case when n % 2 = 0 then 'Succeeded' else 'WaitingForApproval' end,
                case when n % 4 = 0 then now() end, now() from generate_series(1, 30000) n""")
        connection.execute("analyze run")
        params = {"holder": "me", "limit": 8, "now": NOW, "silent_since": NOW, "held": []}
        plan = "\n".join(row[0] for row in connection.execute(b"explain " + queries()["claim"].encode(), params))
    assert "run_due" in plan
    assert "run_held" in plan
    assert "Seq Scan on run" not in plan
