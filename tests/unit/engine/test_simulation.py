"""Three hundred seeded lives of one run: crashes at any await, lost answers, clocks that jump, people who interfere."""
from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.engine.rig import AUTONOMOUS, SCALE, Rig, spec

from akeso.engine.worker import Worker
from akeso.errors import ClusterAway, OutcomeUnknown, TooManyRequests
from akeso.model.names import LAST_ACTION
from akeso.model.objects import dig
from akeso.model.run import Run, RunPhase, StepPhase
from akeso.testing.fake_cluster import FakeCluster

SEEDS = 300
STEPS = [spec(SCALE), spec({**SCALE, "action": {"name": "restart_deployment"}}),
         spec({"name": "scale", "action": {"name": "restart_pod"}}),
         spec(SCALE, {"name": "check", "dependsOn": ["scale"], "verify": {
             "alertResolved": True, "withinSeconds": 60, "onFailure": "Rollback"}})]


def pausing(cluster: FakeCluster, chance: random.Random) -> None:
    """Every request gives way some times, so that a crash can come at any await: before it, or before its answer."""
    request = cluster.server.request

    async def slow(*args: Any, **more: Any) -> Any:
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        answer = await request(*args, **more)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        return answer
    cluster.server.request = slow  # type: ignore[method-assign]


def misfortune(rig: Rig, chance: random.Random) -> None:
    error = chance.choice([OutcomeUnknown("lost"), ClusterAway("away"), TooManyRequests("busy", after=2)])
    after = isinstance(error, OutcomeUnknown) and chance.random() < 0.7
    rig.cluster.fail(chance.choice(["patch", "delete", "get", "list"] if not after else ["patch", "delete"]), error,
                     after=after, dry_run=False if after else None)


async def somebody(rig: Rig, chance: random.Random) -> None:
    """One thing that may happen in a cluster."""
    match chance.randrange(6):
        case 0:
            await rig.resolve()
        case 1:
            seconds = chance.randrange(9)
            mind = {"minReadySeconds": seconds} if seconds % 2 else {"replicas": 3}  # a person sets it back, too
            rig.cluster.change("deployments", "shop", "web", lambda w: w["spec"].update(mind))
        case 2:
            rig.roll_out(available=None if chance.random() < 0.7 else 0)
        case 3:
            rig.now += timedelta(seconds=chance.choice([0.2, 3, 40, 700]))
        case 4:
            misfortune(rig, chance)
        case 5:
            names = [k[3] for k, o in rig.cluster.server.objects.items()
                     if k[1] == "approvals" and "decision" not in o["spec"]]
            if names:
                await rig.decide_approval(chance.choice(["Approved", "Approved", "Denied"]))


async def crash_somewhere(rig: Rig, chance: random.Random) -> None:
    """Let the worker work for a few turns of the loop, then take its power."""
    await rig.worker._claim()
    for _ in range(chance.randrange(60)):
        await asyncio.sleep(0)
    for task in list(rig.worker._tasks):
        task.cancel()
    await asyncio.gather(*rig.worker._tasks, return_exceptions=True)
    rig.worker = Worker(rig.services, f"w{chance.random()}")
    rig.now += timedelta(seconds=20)  # the claim of the dead one goes stale


async def live(seed: int) -> tuple[Rig, Run]:
    chance = random.Random(seed)
    rig = Rig()
    rig.heals = None
    pausing(rig.cluster, chance)
    rig.define(chance.choice(STEPS), agent={**AUTONOMOUS, "autonomy": chance.choice(["Autonomous", "Approve"])})
    await rig.fire()
    for _ in range(chance.randrange(2, 12)):
        if chance.random() < 0.5:
            await crash_somewhere(rig, chance)
        else:
            await rig.once()
        await somebody(rig, chance)
        if (await rig.run()).phase.terminal:
            break
    rig.cluster.server.faults.clear()
    rig.now += timedelta(seconds=20)
    return rig, await rig.go()


def sent(rig: Rig) -> Counter[str]:
    """Writes that landed, by the action id that they carried (the uid for a removal)."""
    ids = []
    for write in rig.cluster.written():
        marks = [o["value"] for o in write.body if o["path"].endswith("last-action")] if write.verb == "patch" else []
        ids += marks or [str(dig(write.body, "preconditions", "uid"))]
    return Counter(ids)


# Where a crash comes before a read of the evidence began, Python says so about its coroutine; that is what a crash is.
@pytest.mark.filterwarnings("ignore:.*Cluster:pytest.PytestUnraisableExceptionWarning", "ignore:coroutine 'Cluster")
@pytest.mark.parametrize("block", range(10))
async def test_whatever_happens_each_effect_lands_once_and_the_run_ends(block: int) -> None:
    ended: Counter[RunPhase] = Counter()
    for seed in range(block * SEEDS // 10, (block + 1) * SEEDS // 10):
        rig, run = await live(seed)
        assert run.phase.terminal, (seed, run.phase, rig.log.lines[-3:])
        assert all(count == 1 for count in sent(rig).values()), (seed, sent(rig))
        landed = len(sent(rig))
        assert landed <= 2, (seed, rig.writes())  # the change, and at most its undo
        if run.phase is RunPhase.REFUSED:
            assert landed == 0, (seed, rig.writes())
        if run.phase is RunPhase.ROLLED_BACK:
            assert landed >= 1, seed
        if any(s.phase is StepPhase.SUCCEEDED and "applied" in s.data for s in run.steps):
            assert landed >= 1, seed
        assert "a run hit a bug" not in rig.log.lines, (seed, rig.log.lines)
        before = len(rig.cluster.written())
        await rig.resolve()
        rig.now += timedelta(days=1)
        assert await rig.once() == 0
        assert len(rig.cluster.written()) == before, seed
        ended[run.phase] += 1
    assert len(ended) >= 3, ended  # the seeds reach different ends


async def test_the_marker_on_the_object_is_the_newest_action() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    await rig.go(until=RunPhase.VERIFYING)
    [intent] = await rig.store.intents(rig.run_id)
    web = rig.cluster.find("deployments", "shop", "web")
    assert web["metadata"]["annotations"][LAST_ACTION] == intent.action_id
