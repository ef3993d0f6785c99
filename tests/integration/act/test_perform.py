"""Exactly-once effects on a real API server: lost answers, replays, namesakes, old epochs, budgets, permissions."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.act.cutting import Cutter, Loss
from tests.integration.conftest import TestCluster
from tests.integration.kubeobjects import apply_rbac, create, deployment, pod, server_of, through

from akeso.act import patches, rbac
from akeso.act.perform import Outcome, Performer, action_id
from akeso.errors import ClusterAway, Conflict, Forbidden, InvalidInput, OutcomeUnknown, TooManyRequests
from akeso.kube.client import Connection, connect
from akeso.kube.cluster import Cluster
from akeso.model import names
from akeso.model.objects import DEPLOYMENT, HPA, NODE, PDB, POD, STATEFULSET, Kind, Object, ObjectRef
from akeso.model.plan import Change, EffectClass, Intent, IntentState, Plan, Reversibility, Verb
from akeso.sdk.action import Rule
from akeso.settings import Settings

pytestmark = pytest.mark.integration

NEEDS = (
    Rule("apps", "deployments", ("patch",)), Rule("apps", "statefulsets", ("patch",)), Rule("", "pods", ("delete",)),
    Rule("", "pods/eviction", ("create",)),
    Rule("autoscaling", "horizontalpodautoscalers", ("patch",)), Rule("", "nodes", ("patch",)),
)


@pytest.fixture
async def live(admin: Connection, namespace: str) -> AsyncIterator[Cluster]:
    """A cluster with a ServiceAccount `fixer` that may do what NEEDS say."""
    manifests = rbac.tenant(namespace, "fixer", NEEDS)
    await apply_rbac(admin, manifests)
    yield Cluster(admin)
    for manifest in manifests:
        if manifest["kind"].startswith("ClusterRole"):
            name, plural = manifest["metadata"]["name"], manifest["kind"].lower() + "s"
            await admin.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{plural}/{name}", body={})


def plan_for(
    obj: Object, kind: Kind, verb: Verb = Verb.PATCH, *, patch: list[dict[str, Any]] | None = None,
    effect: EffectClass = EffectClass.SPEC_WRITE, before: dict[str, Any] | None = None, service_account: str = "",
) -> Plan:
    meta = obj["metadata"]
    ref = ObjectRef(kind, meta.get("namespace", ""), meta["name"], meta["uid"])
    return Plan(
        action="test_action", params={},
        change=Change(verb, ref, f"{verb} {ref}", patch=patch or [], before=before or {}),
        uid=meta["uid"], generation=meta.get("generation", 0), resource_version=meta["resourceVersion"], effect=effect,
        reversibility=Reversibility.EXACT, service_account=service_account or f"{meta.get('namespace')}:fixer")


def intent_for(plan: Plan, epoch: int = 1, run: str = "run") -> Intent:
    return Intent(action_id(run, "step", 0, plan), run, "step", epoch, plan)


def ready_seconds(obj: Object, value: int, **more: Any) -> Plan:
    """A plan that sets spec.minReadySeconds: a spec write that starts nothing."""
    return plan_for(obj, DEPLOYMENT, patch=[{"op": "add", "path": "/spec/minReadySeconds", "value": value}], **more)


async def settled(live: Cluster, namespace: str, name: str) -> Object:
    """The Deployment once its controller has seen it, so that only tests write to it from here on."""
    for _ in range(100):
        obj = await live.get(DEPLOYMENT, namespace, name)
        assert obj is not None
        if (obj.get("status") or {}).get("observedGeneration", 0) >= obj["metadata"]["generation"]:
            return obj
        await asyncio.sleep(0.05)
    raise AssertionError("the deployment controller does not run")


async def new_deployment(live: Cluster, namespace: str, name: str = "web", **spec: Any) -> Object:
    await create(live.connection, DEPLOYMENT, namespace, deployment(name, **spec))
    return await settled(live, namespace, name)


async def now(live: Cluster, obj: Object, kind: Kind = DEPLOYMENT) -> Object:
    found = await live.get(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    assert found is not None
    return found


async def test_a_plan_is_applied_once_with_marker_and_fence(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    intent = intent_for(ready_seconds(web, 7), epoch=3)
    outcome = await Performer(live).perform(intent, first_attempt=True)
    after = await now(live, web)
    assert outcome.state is IntentState.APPLIED
    assert after["spec"]["minReadySeconds"] == 7
    assert after["metadata"]["generation"] == web["metadata"]["generation"] + 1
    assert after["metadata"]["annotations"][names.LAST_ACTION] == intent.action_id
    assert after["metadata"]["annotations"][names.FENCE] == "3.run"


async def test_a_replay_on_purpose_is_recognised_and_writes_nothing(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    intent = intent_for(ready_seconds(web, 7))
    performer = Performer(live)
    await performer.perform(intent, first_attempt=True)
    generation = (await now(live, web))["metadata"]["generation"]
    for _ in range(3):
        assert (await performer.perform(intent, first_attempt=False)).state is IntentState.APPLIED
    assert (await now(live, web))["metadata"]["generation"] == generation


async def test_ten_copies_at_once_write_once(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    intent = intent_for(ready_seconds(web, 7))
    outcomes = await asyncio.gather(*(Performer(live).perform(intent, first_attempt=True) for _ in range(10)))
    assert {o.state for o in outcomes} == {IntentState.APPLIED}
    assert (await now(live, web))["metadata"]["generation"] == web["metadata"]["generation"] + 1


async def test_an_older_action_does_not_come_back_after_a_newer_one(live: Cluster, namespace: str) -> None:
    """ABA: act-1, act-2, a late copy of act-1."""
    web = await new_deployment(live, namespace)
    performer = Performer(live)
    first = intent_for(ready_seconds(web, 1), epoch=1, run="one")
    request = patches.effect(first, web)
    await performer.perform(first, first_attempt=True)
    second = intent_for(ready_seconds(await now(live, web), 2), epoch=2, run="two")
    await performer.perform(second, first_attempt=True)
    assert (await performer.perform(first, first_attempt=False)).state is IntentState.STALE
    with pytest.raises(Conflict):  # the delayed bytes of the first request themselves
        await live.patch(first.plan.change.target, request, as_user=f"system:serviceaccount:{namespace}:fixer")
    after = await now(live, web)
    assert after["spec"]["minReadySeconds"] == 2
    assert after["metadata"]["generation"] == web["metadata"]["generation"] + 2


async def test_another_run_with_fewer_claims_may_write_after_one_with_more(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    await Performer(live).perform(intent_for(ready_seconds(web, 1), epoch=9, run="one"), first_attempt=True)
    second = intent_for(ready_seconds(await now(live, web), 2), epoch=1, run="two")
    assert (await Performer(live).perform(second, first_attempt=True)).state is IntentState.APPLIED


async def test_a_write_of_somebody_else_between_our_read_and_our_write_stands(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)

    class Meddling(Cluster):
        async def patch(self, ref: ObjectRef, operations: Any, *, as_user: str, dry_run: bool = False) -> Object:
            if not dry_run:
                await self.connection.request(
                    "PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/web",
                    body={"spec": {"minReadySeconds": 3}}, content_type="application/merge-patch+json")
            return await super().patch(ref, operations, as_user=as_user, dry_run=dry_run)

    meddled = Meddling(live.connection)
    outcome = await Performer(meddled).perform(intent_for(ready_seconds(web, 7)), first_attempt=True)
    assert outcome.state is IntentState.STALE
    assert (await now(live, web))["spec"]["minReadySeconds"] == 3


async def test_a_change_by_somebody_else_makes_the_plan_stale(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    plan = ready_seconds(web, 7)
    await Performer(live).perform(intent_for(ready_seconds(web, 3), run="other"), first_attempt=True)
    outcome = await Performer(live).perform(intent_for(plan, epoch=2), first_attempt=True)
    assert outcome.state is IntentState.STALE
    assert (await now(live, web))["spec"]["minReadySeconds"] == 3


async def test_an_object_created_anew_under_the_name_is_left_alone(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    plan = ready_seconds(web, 7)
    await live.connection.request("DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments/web", body={})
    namesake = await new_deployment(live, namespace)
    assert (await Performer(live).perform(intent_for(plan), first_attempt=True)).state is IntentState.STALE
    assert "minReadySeconds" not in (await now(live, namesake))["spec"]


async def test_an_older_epoch_does_not_write_after_a_newer_one(live: Cluster, namespace: str) -> None:
    # A StatefulSet: unlike a Deployment's, its generation does not move with annotations (measured), so that here
    # nothing but the fence can stop the zombie.
    web = await create(live.connection, STATEFULSET, namespace, deployment("web"))
    plan = plan_for(web, STATEFULSET, patch=[{"op": "add", "path": "/spec/minReadySeconds", "value": 7}])
    stuck = intent_for(plan, epoch=4)
    request = patches.effect(stuck, web)
    with pytest.raises(InvalidInput):
        await Performer(live).abandon(stuck, 4)
    given_up = await Performer(live).abandon(stuck, 5)
    assert given_up.state is IntentState.STALE
    fenced = await now(live, web, STATEFULSET)
    assert fenced["metadata"]["annotations"][names.FENCE] == "5.run"
    assert fenced["metadata"]["generation"] == web["metadata"]["generation"]
    with pytest.raises(Conflict):
        await live.patch(stuck.plan.change.target, request, as_user=f"system:serviceaccount:{namespace}:fixer")
    outcome = await Performer(live).perform(stuck, first_attempt=False)
    assert outcome.state is IntentState.STALE
    assert "epoch 5" in outcome.message
    assert "minReadySeconds" not in (await now(live, web, STATEFULSET))["spec"]


async def test_giving_up_what_was_applied_after_all_says_so(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    intent = intent_for(ready_seconds(web, 7))
    await Performer(live).perform(intent, first_attempt=True)
    assert (await Performer(live).abandon(intent, 9)).state is IntentState.APPLIED


async def test_what_is_true_already_is_not_written(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace, minReadySeconds=7)
    outcome = await Performer(live).perform(intent_for(ready_seconds(web, 7)), first_attempt=True)
    assert outcome.state is IntentState.NOOP
    assert names.LAST_ACTION not in (await now(live, web))["metadata"].get("annotations", {})


async def test_an_object_without_annotations_gets_its_marker(live: Cluster, namespace: str) -> None:
    hpa = await create(live.connection, HPA, namespace, {"metadata": {"name": "web"}, "spec": {
        "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
    plan = plan_for(
        hpa, HPA, patch=[{"op": "add", "path": "/spec/maxReplicas", "value": 5}], effect=EffectClass.VERSIONED_WRITE,
        before={"/spec/maxReplicas": 3})
    assert (await Performer(live).perform(intent_for(plan), first_attempt=True)).state is IntentState.APPLIED
    after = await now(live, hpa, HPA)
    assert after["spec"]["maxReplicas"] == 5
    assert names.LAST_ACTION in after["metadata"]["annotations"]


async def test_a_busy_node_is_cordoned_although_its_version_moves(live: Cluster, namespace: str) -> None:
    name = f"node-{namespace}"
    node = await create(live.connection, NODE, "", {"metadata": {"name": name}})
    try:
        plan = plan_for(
            node, NODE, patch=[{"op": "add", "path": "/spec/unschedulable", "value": True}],
            effect=EffectClass.VERSIONED_WRITE, before={"/spec/unschedulable": None},
            service_account=f"{namespace}:fixer")
        await beat(live, name, "1")
        busy = Beating(live.connection, name)
        outcome = await Performer(busy).perform(intent_for(plan), first_attempt=True)
        assert outcome.state is IntentState.APPLIED
        assert busy.beats == 1  # one write lost its race and was repeated
        assert (await now(live, node, NODE))["spec"]["unschedulable"] is True
        late = await Performer(live).perform(replace(intent_for(plan), action_id="f" * 32), first_attempt=False)
        assert late.state is IntentState.STALE  # the value that it was planned from is no longer there
    finally:
        await live.connection.request("DELETE", f"/api/v1/nodes/{name}", body={})


async def beat(live: Cluster, name: str, value: str) -> None:
    await live.connection.request(
        "PATCH", f"/api/v1/nodes/{name}/status", content_type="application/merge-patch+json",
        body={"status": {"nodeInfo": {"machineID": value}}})


class Beating(Cluster):
    """A node whose status is written between our read and our first write."""

    def __init__(self, connection: Connection, name: str) -> None:
        super().__init__(connection)
        self.name, self.beats = name, 0

    async def patch(self, ref: ObjectRef, operations: Any, *, as_user: str, dry_run: bool = False) -> Object:
        if not dry_run and not self.beats:
            self.beats += 1
            await beat(self, self.name, "between")
        return await super().patch(ref, operations, as_user=as_user, dry_run=dry_run)


async def test_a_dry_run_shows_the_change_and_no_secret_and_writes_nothing(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    env = "/spec/template/spec/containers/0/env/0/value"
    plan = plan_for(web, DEPLOYMENT, patch=[
        {"op": "add", "path": "/spec/minReadySeconds", "value": 9},
        {"op": "replace", "path": env, "value": "correct-horse"}])
    shown = await Performer(live).dry_run(plan)
    assert "+  minReadySeconds: 9" in shown
    assert "hunter2" not in shown
    assert "correct-horse" not in shown
    assert "a hidden value changes: .spec.template.spec.containers[0].env[0].value" in shown
    assert names.FENCE not in shown
    assert (await now(live, web))["metadata"]["resourceVersion"] == web["metadata"]["resourceVersion"]


async def test_a_dry_run_speaks_for_permissions_and_for_stale_plans(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    with pytest.raises(Forbidden):
        await Performer(live).dry_run(ready_seconds(web, 7, service_account=f"{namespace}:stranger"))
    with pytest.raises(Conflict):
        await Performer(live).dry_run(replace(ready_seconds(web, 7), generation=99))


async def test_impersonation_limits_every_write(live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    for account in (f"{namespace}:stranger", ""):
        plan = replace(ready_seconds(web, 7), service_account=account, diff="not simulated")
        outcome = await Performer(live).perform(intent_for(plan), first_attempt=True)
        assert outcome.state is IntentState.FAILED
    assert (await now(live, web))["metadata"]["generation"] == web["metadata"]["generation"]


async def test_deleting_is_done_once_per_uid(live: Cluster, namespace: str) -> None:
    old = await create(live.connection, POD, namespace, pod("web"))
    intent = intent_for(plan_for(old, POD, Verb.DELETE, effect=EffectClass.DELETE))
    assert "uid" in await Performer(live).dry_run(intent.plan)
    assert (await Performer(live).perform(intent, first_attempt=True)).state is IntentState.APPLIED
    assert await live.get(POD, namespace, "web") is None
    namesake = await create(live.connection, POD, namespace, pod("web"))
    assert (await Performer(live).perform(intent, first_attempt=False)).state is IntentState.APPLIED
    assert (await Performer(live).perform(intent, first_attempt=True)).state is IntentState.NOOP
    assert "deletionTimestamp" not in (await now(live, namesake, POD))["metadata"]


async def budget(live: Cluster, namespace: str, allowed: int) -> Object:
    """The budget of the pods `web`, once the controller has written `disruptionsAllowed`."""
    for _ in range(200):
        obj = await live.get(PDB, namespace, "web")
        status = (obj or {}).get("status") or {}
        if obj is not None and status.get("observedGeneration") == 1 and status.get("disruptionsAllowed") == allowed:
            return obj
        await asyncio.sleep(0.05)
    raise AssertionError(f"disruptionsAllowed never became {allowed}: {status}")


async def guarded_pod(live: Cluster, namespace: str, *, minimum: int) -> Object:
    """A pod that counts as healthy, under a budget. Only healthy pods use up a budget."""
    made = await create(live.connection, POD, namespace, pod("web"))
    await live.connection.request(
        "PATCH", f"/api/v1/namespaces/{namespace}/pods/web/status", content_type="application/merge-patch+json",
        body={"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
    await create(live.connection, PDB, namespace, {
        "metadata": {"name": "web"}, "spec": {"minAvailable": minimum, "selector": {"matchLabels": {"app": "web"}}}})
    return made


async def test_evicting_a_namesake_burns_no_disruption_budget(live: Cluster, namespace: str) -> None:
    real = await guarded_pod(live, namespace, minimum=0)
    before = await budget(live, namespace, 1)
    nobody = "00000000-0000-0000-0000-000000000000"
    plan = replace(plan_for(real, POD, Verb.EVICT, effect=EffectClass.EVICT), uid=nobody)
    for first in (True, False):
        outcome = await Performer(live).perform(intent_for(plan), first_attempt=first)
        assert outcome.state in (IntentState.NOOP, IntentState.APPLIED)
    with pytest.raises(Conflict):
        await Performer(live).dry_run(plan)
    after = await now(live, before, PDB)
    assert after["status"]["disruptionsAllowed"] == 1
    assert not after["status"].get("disruptedPods")
    assert "deletionTimestamp" not in (await now(live, real, POD))["metadata"]


async def test_a_full_budget_is_waited_for_not_a_failure(live: Cluster, namespace: str) -> None:
    guarded = await guarded_pod(live, namespace, minimum=1)
    await budget(live, namespace, 0)
    plan = plan_for(guarded, POD, Verb.EVICT, effect=EffectClass.EVICT)
    with pytest.raises(TooManyRequests) as caught:
        await Performer(live).perform(intent_for(plan), first_attempt=True)
    assert "disruption budget" in str(caught.value)
    assert caught.value.after > 0


async def test_an_eviction_within_the_budget_removes_the_pod(live: Cluster, namespace: str) -> None:
    guarded = await guarded_pod(live, namespace, minimum=0)
    await budget(live, namespace, 1)
    intent = intent_for(plan_for(guarded, POD, Verb.EVICT, effect=EffectClass.EVICT))
    assert (await Performer(live).perform(intent, first_attempt=True)).state is IntentState.APPLIED
    assert (await Performer(live).perform(intent, first_attempt=False)).state is IntentState.APPLIED


class Lossy(Cluster):
    """Loses the next real write."""

    def __init__(self, connection: Connection, cutter: Cutter) -> None:
        super().__init__(connection)
        self.cutter = cutter
        self.next: Loss = ""

    def _arm(self, dry_run: bool) -> None:
        if not dry_run:
            self.cutter.lose, self.next = self.next, ""

    async def patch(self, ref: ObjectRef, operations: Any, *, as_user: str, dry_run: bool = False) -> Object:
        self._arm(dry_run)
        return await super().patch(ref, operations, as_user=as_user, dry_run=dry_run)

    async def delete(self, ref: ObjectRef, *, as_user: str, uid: str, grace_seconds: int | None = None,
                     dry_run: bool = False) -> None:
        self._arm(dry_run)
        await super().delete(ref, as_user=as_user, uid=uid, grace_seconds=grace_seconds, dry_run=dry_run)

    async def evict(self, ref: ObjectRef, *, as_user: str, uid: str, dry_run: bool = False) -> None:
        self._arm(dry_run)
        await super().evict(ref, as_user=as_user, uid=uid, dry_run=dry_run)


@pytest.fixture
async def lossy(cluster: TestCluster, live: Cluster, tmp_path: Path) -> AsyncIterator[Lossy]:
    cutter = Cutter(*server_of(cluster.kubeconfig))
    port = await cutter.start()
    config = through(cluster.kubeconfig, port, tmp_path / "through")
    async with await connect(Settings(kubeconfig=str(config), request_timeout_seconds=5)) as connection:
        yield Lossy(connection, cutter)
    await cutter.stop()


async def test_fifty_lost_exchanges_end_in_fifty_right_writes(lossy: Lossy, live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    first = web["metadata"]["generation"]
    wrong: list[Outcome] = []
    for trial in range(1, 51):
        intent = intent_for(ready_seconds(await now(live, web), trial), epoch=trial, run=f"run-{trial}")
        lossy.next = "response" if trial % 2 else "request"
        outcome = await Performer(lossy).perform(intent, first_attempt=True)
        after = await now(live, web)
        right = outcome.state is IntentState.APPLIED and after["spec"]["minReadySeconds"] == trial
        if not right or after["metadata"]["generation"] != first + trial:
            wrong.append(outcome)
    assert wrong == []
    assert lossy.cutter.lost == ["response", "request"] * 25


async def test_a_lost_delete_and_a_lost_eviction_are_read_back(lossy: Lossy, live: Cluster, namespace: str) -> None:
    for verb, effect in ((Verb.DELETE, EffectClass.DELETE), (Verb.EVICT, EffectClass.EVICT)):
        for loss in ("response", "request"):
            name = f"{verb}-{loss}"
            made = await create(live.connection, POD, namespace, pod(name))
            await lossy.get(POD, namespace, name)  # a connection that is open already
            lossy.next = "response" if loss == "response" else "request"
            intent = intent_for(plan_for(made, POD, verb, effect=effect))
            outcome = await Performer(lossy).perform(intent, first_attempt=True)
            assert outcome.state is IntentState.APPLIED
            assert await live.get(POD, namespace, name) is None
    assert lossy.cutter.lost == ["response", "request"] * 2


async def test_an_outcome_that_cannot_be_read_back_stays_unknown(lossy: Lossy, live: Cluster, namespace: str) -> None:
    web = await new_deployment(live, namespace)
    intent = intent_for(replace(ready_seconds(web, 7), diff="simulated"))

    class Away(Lossy):
        reads = 0

        async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
            self.reads += 1
            if self.reads > 1:
                raise ClusterAway("unreachable for the read back")
            return await super().get(kind, namespace, name)

    away = Away(lossy.connection, lossy.cutter)
    away.next = "response"
    with pytest.raises(OutcomeUnknown):
        await Performer(away).perform(intent, first_attempt=True)
    recovered = await Performer(live).perform(intent, first_attempt=False)
    assert recovered.state is IntentState.APPLIED
    assert (await now(live, web))["metadata"]["generation"] == web["metadata"]["generation"] + 1
