"""Every action that writes, on a real API server: planned from what it returns, dry-run, performed as a ServiceAccount
that holds exactly the action's `needs`, rolled out by the real controllers, verified, and undone.

There are no nodes: pods stay Pending, and the tests say as the cluster's admin what a kubelet would.
"""
from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.integration.kubeobjects import apply_rbac, create, path_of
from tests.unit.actions.applying import comparable

from akeso.act import rbac
from akeso.act.perform import Performer, action_id
from akeso.act.registry import load
from akeso.clock import format_time
from akeso.kube.client import MERGE_PATCH, Connection
from akeso.kube.cluster import Cluster
from akeso.model import names
from akeso.model.evidence import Snapshot
from akeso.model.objects import DEPLOYMENT, NODE, POD, REPLICASET, Kind, Object, ObjectRef, dig, ref_of
from akeso.model.plan import Change, Intent, IntentState, Plan, Verb
from akeso.sdk.action import Action, Context, Health
from akeso.testing import builders
from akeso_actions import rollout

pytestmark = pytest.mark.integration

ACTIONS = load().actions


@dataclass
class Stage:
    """One namespace of the cluster, with a ServiceAccount `fixer` that may do what all actions need, and no more."""

    live: Cluster
    namespace: str

    async def get(self, kind: Kind, name: str) -> Object:
        found = await self.live.get(kind, self.namespace if kind.namespaced else "", name)
        assert found is not None
        return found

    async def web(self, replicas: int = 2, **container: Any) -> Object:
        """A Deployment `web` whose first rollout is complete."""
        body = builders.deployment(replicas=replicas, containers=[builders.container(**container)])
        spec = {"metadata": {"name": "web"}, "spec": body["spec"]}
        await create(self.live.connection, DEPLOYMENT, self.namespace, spec)
        return await self.rolled_out()

    async def merge(self, ref: ObjectRef, body: dict[str, Any], subresource: str = "") -> None:
        """A merge patch as the cluster's admin: what kubelets and people do around us."""
        path = f"{path_of(ref.kind, ref.namespace)}/{ref.name}{subresource}"
        await self.live.connection.request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def around(self) -> list[Object]:
        return [*await self.live.list(POD, self.namespace), *await self.live.list(REPLICASET, self.namespace)]

    async def say(self, pod: Object, **status: Any) -> None:
        """What the kubelet would write into that pod's status; by default that it is running and ready."""
        names_ = [c["name"] for c in pod["spec"]["containers"]]
        running = {
            "phase": "Running", "conditions": [{"type": t, "status": "True"} for t in ("Ready", "ContainersReady")],
            "containerStatuses": [
                {"name": n, "image": "x", "imageID": "", "ready": True, "restartCount": 0, "state": {"running": {}}}
                for n in names_],
        }
        await self.merge(ref_of(pod), {"status": {**running, **status}}, "/status")

    async def all_ready(self) -> None:
        for pod in await self.live.list(POD, self.namespace):
            if dig(pod, "status", "phase") == "Pending" and not dig(pod, "metadata", "deletionTimestamp"):
                await self.say(pod)

    async def rolled_out(self) -> Object:
        async def done() -> Object | None:
            await self.all_ready()
            web = await self.get(DEPLOYMENT, "web")
            complete = rollout.observed(web) and not rollout.in_progress(web)
            return web if complete and dig(web, "status", "availableReplicas") == web["spec"]["replicas"] else None

        return await eventually(done)

    async def context(self, target: Object, kind: Kind) -> Context:
        objects = [target, *await self.around(), *await self.live.list(NODE)]
        now = datetime.now(UTC)
        return Context(now, ref_of(target, kind), target, Snapshot(now, (builders.alert(),), objects=objects))

    async def do(self, name: str, target: Object, kind: Kind, **params: Any) -> Change:
        """Plan, dry run and perform; the change that was made."""
        action, chosen = ACTIONS[name], ACTIONS[name].params.model_validate(params)
        change = action.plan(await self.context(target, kind), chosen)
        assert change is not None
        await self.perform(action, target, change)
        return change

    async def perform(self, action: Action[Any], target: Object, change: Change) -> None:
        meta = target["metadata"]
        plan = Plan(
            action.name, {}, change, meta["uid"], meta.get("generation", 0), meta["resourceVersion"], action.effect,
            action.reversibility, f"{self.namespace}:fixer")
        performer = Performer(self.live)
        assert await performer.dry_run(plan)
        if change.verb is Verb.PATCH:  # the dry run changed nothing
            now = await self.live.get(change.target.kind, change.target.namespace, change.target.name)
            assert dig(now, "metadata", "generation") == meta.get("generation")
        outcome = await performer.perform(
            Intent(action_id("run", "step", 0, plan), "run", "step", 1, plan), first_attempt=True)
        assert outcome.state is IntentState.APPLIED, outcome.message

    async def healthy(self, name: str, before: Object, kind: Kind, **params: Any) -> Object | None:
        """The object once its action's verification says Healthy, with a kubelet that makes every pod ready."""
        action, chosen, seen = ACTIONS[name], ACTIONS[name].params.model_validate(params), []

        async def done() -> tuple[Object | None] | None:
            await self.all_ready()
            now = await self.live.get(kind, before["metadata"].get("namespace", ""), before["metadata"]["name"])
            found = action.verify(before, now, await self.around(), chosen)
            seen.append(str(found.health))
            assert found.health is not Health.UNHEALTHY, found.message
            return (now,) if found.health is Health.HEALTHY else None

        return (await eventually(done))[0]

    async def undone(self, name: str, before: Object, change: Change) -> None:
        """Undo it for real: the spec is what it was, and so are the annotations apart from our marker."""
        now = await self.live.get(change.target.kind, change.target.namespace, change.target.name)
        assert now is not None
        back = ACTIONS[name].undo(before, now, change)
        assert back is not None
        await self.perform(ACTIONS[name], now, back)
        after = await self.live.get(change.target.kind, change.target.namespace, change.target.name)
        assert after is not None
        assert comparable({"metadata": {}, "spec": after["spec"]}) == comparable(
            {"metadata": {}, "spec": before["spec"]})
        ours = {names.LAST_ACTION, names.FENCE, rollout.REVISION}
        assert {k: v for k, v in dig(after, "metadata", "annotations", default={}).items() if k not in ours} == {
            k: v for k, v in dig(before, "metadata", "annotations", default={}).items() if k not in ours}


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """The first result that is not None; the cluster has no event to wait for that would say all of it."""
    ends = asyncio.get_running_loop().time() + seconds
    while (found := await look()) is None:
        assert asyncio.get_running_loop().time() < ends, "not before the deadline"
        await asyncio.sleep(0.1)
    return found


@pytest.fixture
async def stage(admin: Connection, namespace: str) -> AsyncIterator[Stage]:
    registry = load()
    manifests = rbac.tenant(namespace, "fixer", registry.rules_for(registry.names()))
    await apply_rbac(admin, manifests)
    yield Stage(Cluster(admin), namespace)
    for manifest in manifests:
        if manifest["kind"].startswith("ClusterRole"):
            name, plural = manifest["metadata"]["name"], manifest["kind"].lower() + "s"
            await admin.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{plural}/{name}", body={})


async def test_restart_deployment_starts_one_rollout_and_is_verified_and_undone(stage: Stage) -> None:
    web = await stage.web()
    old = {p["metadata"]["uid"] for p in await stage.live.list(POD, stage.namespace)}
    change = await stage.do("restart_deployment", web, DEPLOYMENT)
    await stage.healthy("restart_deployment", web, DEPLOYMENT)
    new = {p["metadata"]["uid"] for p in await stage.live.list(POD, stage.namespace)}
    assert not old & new
    assert len(await stage.live.list(REPLICASET, stage.namespace)) == 2
    await stage.undone("restart_deployment", web, change)
    await stage.rolled_out()
    assert len(await stage.live.list(REPLICASET, stage.namespace)) == 2  # back to the first one, not a third


async def test_rollback_deployment_returns_to_the_revision_that_still_has_ready_pods(stage: Stage) -> None:
    good = await stage.web()
    ref = ref_of(good)
    await stage.merge(ref, {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "web:2"}]}}}})

    async def stuck() -> Object | None:
        web, pods = await stage.get(DEPLOYMENT, "web"), await stage.live.list(POD, stage.namespace)
        return web if rollout.observed(web) and rollout.revision(web) == 2 and len(pods) == 3 else None

    bad = await eventually(stuck)
    for pod in await stage.live.list(POD, stage.namespace):
        if pod["spec"]["containers"][0]["image"] == "web:2":
            await stage.say(pod, conditions=[{"type": "Ready", "status": "False"}])
    change = await stage.do("rollback_deployment", bad, DEPLOYMENT)
    now = await stage.healthy("rollback_deployment", bad, DEPLOYMENT)
    assert now is not None
    assert now["spec"]["template"] == good["spec"]["template"]
    assert len(await stage.live.list(REPLICASET, stage.namespace)) == 2  # the old ReplicaSet was taken again
    await stage.undone("rollback_deployment", bad, change)


async def test_scale_deployment_is_scaled_by_the_deployment_controller(stage: Stage) -> None:
    web = await stage.web(replicas=2)
    change = await stage.do("scale_deployment", web, DEPLOYMENT, replicas=4)
    await stage.healthy("scale_deployment", web, DEPLOYMENT, replicas=4)
    assert len(await stage.live.list(POD, stage.namespace)) == 4
    assert len(await stage.live.list(REPLICASET, stage.namespace)) == 1
    await stage.undone("scale_deployment", web, change)


@pytest.mark.parametrize("request_", ["32Mi", "64Mi"])
async def test_set_memory_limit_reaches_the_new_pods(stage: Stage, request_: str) -> None:
    web = await stage.web(limits={"memory": "64Mi"}, requests={"memory": request_})
    killed = (await stage.live.list(POD, stage.namespace))[0]
    await stage.say(killed, containerStatuses=[{
        "name": "app", "image": "x", "imageID": "", "ready": True, "restartCount": 1, "state": {"running": {}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }])
    change = await stage.do("set_memory_limit", web, DEPLOYMENT)
    await stage.healthy("set_memory_limit", web, DEPLOYMENT)
    found = {
        (dig(c, "resources", "limits", "memory"), dig(c, "resources", "requests", "memory"))
        for p in await stage.live.list(POD, stage.namespace) for c in p["spec"]["containers"]}
    assert found == {("96Mi", "96Mi" if request_ == "64Mi" else "32Mi")}
    await stage.undone("set_memory_limit", web, change)


@pytest.mark.parametrize("name", ["restart_pod", "evict_pod"])
async def test_a_pod_is_taken_away_and_its_replacement_is_verified(stage: Stage, name: str) -> None:
    await stage.web(replicas=2)
    pod = (await stage.live.list(POD, stage.namespace))[0]
    await stage.do(name, pod, POD)
    await stage.healthy(name, pod, POD)
    pods = await stage.live.list(POD, stage.namespace)
    assert len(pods) == 2
    assert pod["metadata"]["uid"] not in {p["metadata"]["uid"] for p in pods}


async def test_cordon_and_uncordon_leave_the_node_as_it_was(stage: Stage) -> None:
    made = [f"act-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    now = format_time(datetime.now(UTC))
    ready = {
        "type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }
    try:
        for name in made:
            await create(stage.live.connection, NODE, "", {"metadata": {"name": name}})
            await stage.merge(ObjectRef(NODE, "", name), {"status": {"conditions": [ready]}}, "/status")
        first = await eventually(lambda: settled_node(stage, made[0]))
        await stage.do("cordon_node", first, NODE)
        cordoned = await stage.healthy("cordon_node", first, NODE)
        assert cordoned is not None
        assert cordoned["spec"]["unschedulable"] is True
        assert cordoned["metadata"]["annotations"][names.CORDONED_BY] == "akeso"
        cordoned = await eventually(lambda: settled_node(stage, made[0]))
        change = await stage.do("uncordon_node", cordoned, NODE, readyForSeconds=0)
        freed = await stage.healthy("uncordon_node", cordoned, NODE)
        assert freed is not None
        assert "unschedulable" not in freed["spec"]
        assert names.CORDONED_BY not in freed["metadata"]["annotations"]
        assert change.before["/spec/unschedulable"] is True
    finally:
        for name in made:
            await stage.live.connection.request("DELETE", f"{path_of(NODE)}/{name}", body={})


async def settled_node(stage: Stage, name: str) -> Object | None:
    """The Node once its controllers (taints, pod CIDR) have written nothing for half a second."""
    before = await stage.get(NODE, name)
    await asyncio.sleep(0.5)
    after = await stage.get(NODE, name)
    return after if before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"] else None
