"""The loop around the moves: bugs, take-overs, a database that is away, a graceful stop."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from tests.unit.engine.rig import Rig

from akeso.engine.worker import Worker
from akeso.errors import CircuitOpen, DatabaseAway, Superseded
from akeso.model.names import Reason
from akeso.model.run import RunPhase, StepPhase
from akeso.testing import builders

PATCH = "patch deployments/web"


async def test_a_run_that_another_replica_took_over_is_left_alone() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    save = rig.store.save

    async def too_late(*args: Any, **what: Any) -> None:
        if any(s.phase is StepPhase.PLANNED for s in what.get("steps", ())):
            raise Superseded
        await save(*args, **what)
    rig.store.save = too_late  # type: ignore[method-assign]
    await rig.once()
    run = await rig.run()
    assert (run.phase, rig.writes()) == (RunPhase.RUNNING, [])
    assert run.wake_at is None  # the other one has it: this one does not let go of what it does not hold
    assert "another replica holds this run now" in rig.log.lines


async def test_the_older_of_two_workers_can_commit_nothing() -> None:
    rig = Rig(holder_timeout_seconds=5)
    rig.define()
    await rig.fire()
    old = (await rig.store.claim("old", 1, rig.now, 15))[0]
    rig.now += builders.timedelta(seconds=60)
    await rig.once()
    with pytest.raises(Superseded):
        await rig.store.save(old.id, old.epoch, run={"phase": RunPhase.FAILED})


async def test_a_bug_in_one_run_does_not_stop_another_and_is_given_up_in_the_end() -> None:
    rig = Rig()
    rig.define()
    rig.define(name="other")
    broken = await rig.fire()
    other = next(i for i in await rig.store.unshown(10) if i != broken)
    evidence = rig.store.save_evidence

    async def bug(run_id: str, *args: Any) -> None:
        if run_id == broken:
            raise ZeroDivisionError("a bug")
        await evidence(run_id, *args)
    rig.store.save_evidence = bug  # type: ignore[method-assign]
    await rig.once()
    assert (await rig.run(other)).phase is RunPhase.VERIFYING
    run = await rig.go()
    assert (run.phase, run.reason) == (RunPhase.FAILED, Reason.FAILED)
    assert "ZeroDivisionError: a bug" in run.message
    assert run.epoch == 20


async def test_a_database_that_is_away_loses_nothing() -> None:
    rig = Rig(worker_poll_seconds=0.01)
    rig.define()
    await rig.fire()
    claim, failures = rig.store.claim, iter([DatabaseAway(), CircuitOpen("open")])
    release, released = rig.store.release, asyncio.Event()

    async def let_go(*args: Any) -> None:
        await release(*args)
        released.set()
    rig.store.release = let_go  # type: ignore[method-assign]

    async def away(*args: Any) -> Any:
        error = next(failures, None)
        if error is not None:
            raise error
        return await claim(*args)
    rig.store.claim = away  # type: ignore[method-assign]
    loop = asyncio.create_task(rig.worker.run())
    async with asyncio.timeout(5):
        await released.wait()
    await rig.worker.stop()
    await loop
    assert rig.writes() == [PATCH]


async def test_a_stop_lets_the_move_in_hand_finish_and_hands_the_run_on() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    intend, reached, go_on = rig.store.intend, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await intend(*args)
    rig.store.intend = slow  # type: ignore[method-assign]
    loop = asyncio.create_task(rig.worker.run())
    await reached.wait()
    stopping = asyncio.create_task(rig.worker.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go_on.set()
    await stopping
    await loop
    run = await rig.run()
    assert (rig.writes(), run.step("scale").phase) == ([PATCH], StepPhase.VERIFYING)
    assert run.wake_at == rig.now  # released, due at once
    rig.worker = Worker(rig.services, "w2")
    await rig.resolve()
    assert (await rig.go()).phase is RunPhase.SUCCEEDED
    assert rig.writes() == [PATCH]


async def test_a_stop_does_not_wait_longer_than_its_grace() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    reached = asyncio.Event()

    async def stuck(*_: Any) -> Any:
        reached.set()
        await asyncio.Event().wait()
    rig.store.intend = stuck  # type: ignore[method-assign]
    loop = asyncio.create_task(rig.worker.run())
    await reached.wait()
    await rig.worker.stop(grace=0.05)
    await loop
    assert rig.writes() == []
    assert (await rig.run()).wake_at is None  # still held; its claim goes stale


async def test_no_more_runs_are_carried_than_settings_allow() -> None:
    rig = Rig(workers=2)
    for name in ("a", "b", "c"):
        rig.define(name=name)
    await rig.fire()
    assert await rig.worker._claim() == 2
    while rig.worker._tasks:
        await asyncio.gather(*rig.worker._tasks)
        await asyncio.sleep(0)


async def test_a_write_that_landed_before_a_crash_is_not_sent_again_over_a_persons_change() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    settle = rig.store.settle

    async def power_cut(*args: Any) -> None:
        rig.store.settle = settle  # type: ignore[method-assign]
        rig.cluster.change("deployments", "shop", "web", lambda w: w["spec"].update(replicas=3))
        raise RuntimeError("power cut after the write")
    rig.store.settle = power_cut  # type: ignore[method-assign]
    run = await rig.go()
    assert (rig.writes(), rig.replicas()) == ([PATCH], 3)
    assert run.phase is RunPhase.ESCALATED


async def test_a_line_that_a_lower_layer_logs_carries_the_run() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    bound: list[Any] = []
    read = rig.cluster.get

    async def get(*args: Any) -> Any:
        bound.append(structlog.contextvars.get_contextvars().get("run_id"))
        return await read(*args)
    rig.cluster.get = get  # type: ignore[method-assign]
    await rig.once()
    assert set(bound) == {(await rig.run()).name}
    assert "run_id" not in structlog.contextvars.get_contextvars()
