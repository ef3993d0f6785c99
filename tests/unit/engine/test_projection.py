"""Runs as the Kubernetes API shows them."""
from __future__ import annotations

import asyncio

from tests.unit.engine.rig import Rig, condition

from akeso.errors import ClusterAway
from akeso.model.run import RunPhase
from akeso.testing import builders


async def drawn() -> Rig:
    rig = Rig()
    rig.define()
    await rig.fire()
    await rig.go(until=RunPhase.VERIFYING)
    await rig.resolve()
    await rig.go()
    await rig.projector.drain()
    return rig


async def test_a_run_is_shown_with_its_owner_trigger_and_status() -> None:
    rig = await drawn()
    run = await rig.run()
    shown = rig.cluster.find("workflowruns", "shop", run.name)
    assert shown["metadata"]["ownerReferences"][0]["name"] == "heal"
    assert shown["spec"]["trigger"]["alert"]["labels"]["alertname"] == "KubePodCrashLooping"
    assert shown["status"]["phase"] == "Succeeded"
    assert condition(shown, "Verified")["status"] == "True"
    assert await rig.store.unshown(10) == []


async def test_drawing_again_adds_no_event() -> None:
    rig = await drawn()
    events = len(rig.cluster.written("events"))
    assert events >= 4
    for _ in range(2):
        await rig.projector.draw(rig.run_id)
    assert len(rig.cluster.written("events")) == events


async def test_events_speak_of_the_run_and_of_the_patient() -> None:
    rig = await drawn()
    told = {(w.body["regarding"]["kind"], w.body["reason"]) for w in rig.cluster.written("events")}
    assert {("WorkflowRun", "AlertMatched"), ("WorkflowRun", "ActionApplied"), ("Deployment", "ActionApplied"),
            ("Deployment", "VerifiedHealthy")} <= told


async def test_what_could_not_be_drawn_is_drawn_at_the_next_sweep() -> None:
    rig = Rig()
    rig.define()
    await rig.fire()
    rig.cluster.fail("create", ClusterAway("away"), plural="workflowruns", times=1)
    await rig.projector._sweep()
    await rig.projector.drain()
    assert await rig.store.unshown(10) == [rig.run_id]
    task = asyncio.create_task(rig.projector.run())
    rig.projector.mark(rig.run_id)
    async with asyncio.timeout(5):
        while await rig.store.unshown(10):  # noqa: ASYNC110 the store has no event to wait for
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_run_that_a_person_deleted_stays_in_the_ledger_and_is_not_mourned() -> None:
    rig = await drawn()
    run = await rig.run()
    rig.cluster.drop(rig.cluster.find("workflowruns", "shop", run.name))
    rig.projector._uids[run.id] = "gone"
    await rig.projector.draw(run.id)
    assert (await rig.run()).phase is RunPhase.SUCCEEDED


async def test_hostile_labels_become_valid_labels() -> None:
    rig = Rig()
    rig.define(triggers=[{"name": "alert", "alert": {"matchers": []}}])
    name = "..‮evil/" + "x" * 80
    await rig.fire(builders.alert(name, labels={"deployment": "web"}))
    await rig.projector.draw(rig.run_id)
    shown = rig.cluster.find("workflowruns", "shop", (await rig.run()).name)
    label = shown["metadata"]["labels"]["akeso.dev/alertname"]
    assert len(label) <= 63
    assert label.startswith("evil-x")
