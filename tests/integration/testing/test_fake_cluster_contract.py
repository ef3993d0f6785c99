"""The same cases over the cluster in memory and over a real API server: the fake keeps what the engine relies on."""
from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from tests.integration.conftest import ROOT
from tests.integration.kubectl import Kubectl
from tests.integration.kubeobjects import apply_rbac, create, deployment, pod

from akeso.act import rbac
from akeso.errors import AkesoError, Conflict, Forbidden, GiveUp, NotFound
from akeso.kube.cluster import Cluster
from akeso.model.api.kinds import APPROVAL, WORKFLOW_RUN
from akeso.model.names import API_VERSION
from akeso.model.objects import DEPLOYMENT, POD, Kind, Object, ObjectRef, dig, ref_of
from akeso.sdk.action import Rule
from akeso.testing.fake_cluster import FakeCluster

pytestmark = pytest.mark.integration
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"   # may patch and delete everything
STRANGER = "system:serviceaccount:kube-system:nobody-knows-me"


@dataclass(frozen=True)
class Place:
    """A cluster, and a namespace in it."""

    cluster: Cluster
    namespace: str

    async def create(self, kind: Kind, body: dict[str, Any]) -> Object:
        if isinstance(self.cluster, FakeCluster):
            return await self.cluster.create(kind, self.namespace, body, as_user=COLLECTOR)
        return await create(self.cluster.connection, kind, self.namespace, body)


@pytest.fixture(params=["memory", "api-server"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        name = f"it-{uuid.uuid4().hex[:10]}"
        fake = FakeCluster([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
        fake.server.may = lambda user, *_: user != STRANGER
        return Place(fake, name)
    namespace: str = request.getfixturevalue("namespace")
    Kubectl(request.getfixturevalue("cluster").kubeconfig, namespace).ok(
        "apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))
    return Place(Cluster(request.getfixturevalue("admin")), namespace)


async def made(place: Place, **more: Any) -> tuple[ObjectRef, Object]:
    obj = await place.create(DEPLOYMENT, deployment("web", **more))
    return ref_of(obj, DEPLOYMENT), obj


async def now(place: Place, ref: ObjectRef) -> Object:
    found = await place.cluster.get(ref.kind, ref.namespace, ref.name)
    assert found is not None
    return found


def expect(path: str, value: Any) -> dict[str, Any]:
    return {"op": "test", "path": path, "value": value}




@pytest.mark.parametrize(("path", "value", "moves"), [
    ("/spec/minReadySeconds", 5, 1), ("/metadata/labels", {"a": "b"}, 0),
    ("/metadata/annotations/x", "y", 1),  # of a Deployment: its strategy counts annotations as spec
])
async def test_the_generation_moves_with_the_spec(place: Place, path: str, value: Any, moves: int) -> None:
    ref, _ = await made(place, annotations={"some": "thing"}, paused=True)
    before = await now(place, ref)
    after = await place.cluster.patch(ref, [{"op": "add", "path": path, "value": value}], as_user=COLLECTOR)
    assert dig(after, "metadata", "generation") - dig(before, "metadata", "generation") == moves
    assert dig(after, "metadata", "resourceVersion") != dig(before, "metadata", "resourceVersion")


async def test_a_patch_that_changes_nothing_is_no_write(place: Place) -> None:
    ref, _ = await made(place)
    operations = [{"op": "add", "path": "/spec/minReadySeconds", "value": 5}]
    first = await place.cluster.patch(ref, operations, as_user=COLLECTOR)
    second = await place.cluster.patch(ref, operations, as_user=COLLECTOR)
    assert dig(second, "metadata", "generation") == dig(first, "metadata", "generation")


FAILING: Sequence[Sequence[dict[str, Any]]] = (
    [expect("/metadata/uid", "other")],
    [expect("/metadata/generation", 99)],
    [expect("/metadata/annotations/none", "x")],
    [{"op": "remove", "path": "/metadata/annotations/none"}],
    [{"op": "replace", "path": "/spec/none/deeper", "value": 1}],
    [{"op": "add", "path": "/metadata/none/deeper", "value": 1}],
)


@pytest.mark.parametrize("operations", FAILING)
async def test_a_test_that_fails_and_a_path_that_leads_nowhere_are_conflicts_and_change_nothing(
    place: Place, operations: list[dict[str, Any]],
) -> None:
    ref, _ = await made(place, annotations={"some": "thing"})
    with pytest.raises(Conflict):
        await place.cluster.patch(ref, [{"op": "add", "path": "/spec/minReadySeconds", "value": 5}, *operations],
                                  as_user=COLLECTOR)
    assert dig(await now(place, ref), "metadata", "generation") == 1


@pytest.mark.parametrize("operations", [
    [expect("/metadata/annotations", None), {"op": "add", "path": "/metadata/annotations", "value": {}},
     {"op": "add", "path": "/metadata/annotations/x~0y", "value": "1"}, expect("/metadata/annotations/x~0y", "1"),
     {"op": "remove", "path": "/metadata/annotations/x~0y"}],
    [expect("/spec/containers/0/name", "app"), expect("/spec/hostPID", None), expect("/metadata/labels/none", None)],
])
async def test_tests_against_null_and_escaped_keys_and_lists(place: Place, operations: list[dict[str, Any]]) -> None:
    ref = ref_of(await place.create(POD, pod("p")), POD)
    body = {"op": "add", "path": "/metadata/labels/after", "value": "all"}
    patched = await place.cluster.patch(ref, [*operations, body], as_user=COLLECTOR, dry_run=True)
    assert dig(patched, "metadata", "labels", "after") == "all"


async def test_a_dry_run_shows_the_result_and_keeps_nothing(place: Place) -> None:
    ref, _ = await made(place)
    shown = await place.cluster.patch(
        ref, [{"op": "add", "path": "/spec/minReadySeconds", "value": 7}], as_user=COLLECTOR, dry_run=True)
    assert dig(shown, "spec", "minReadySeconds") == 7
    assert dig(await now(place, ref), "metadata", "generation") == 1


async def test_what_is_not_there_is_not_found(place: Place) -> None:
    gone = ObjectRef(DEPLOYMENT, place.namespace, "gone", "uid")
    assert await place.cluster.get(DEPLOYMENT, place.namespace, "gone") is None
    with pytest.raises(NotFound):
        await place.cluster.patch(gone, [], as_user=COLLECTOR)
    with pytest.raises(NotFound):
        await place.cluster.delete(gone, as_user=COLLECTOR, uid="uid")


async def test_nobody_writes_without_rights_or_without_a_name(place: Place) -> None:
    ref, _ = await made(place)
    with pytest.raises(Forbidden):
        await place.cluster.patch(ref, [], as_user=STRANGER)
    with pytest.raises(Forbidden):
        await place.cluster.patch(ref, [], as_user=STRANGER, dry_run=True)
    with pytest.raises(GiveUp):
        await place.cluster.patch(ref, [], as_user="")


async def test_a_delete_needs_the_uid_and_a_dry_one_removes_nothing(place: Place) -> None:
    obj = await place.create(POD, pod("p"))
    ref = ref_of(obj, POD)
    with pytest.raises(Conflict):
        await place.cluster.delete(ref, as_user=COLLECTOR, uid="other")
    await place.cluster.delete(ref, as_user=COLLECTOR, uid=ref.uid, dry_run=True)
    assert await place.cluster.get(POD, place.namespace, "p") is not None
    await place.cluster.delete(ref, as_user=COLLECTOR, uid=ref.uid, grace_seconds=0)
    assert await place.cluster.get(POD, place.namespace, "p") is None


async def test_an_eviction_needs_the_right_and_the_uid(place: Place) -> None:
    ref = ref_of(await place.create(POD, pod("p")), POD)
    with pytest.raises(Forbidden):
        await place.cluster.evict(ref, as_user=STRANGER, uid=ref.uid)
    evictor = f"system:serviceaccount:{place.namespace}:evictor"
    if not isinstance(place.cluster, FakeCluster):
        rules = [Rule("", "pods/eviction", ("create",))]
        await apply_rbac(place.cluster.connection, rbac.tenant(place.namespace, "evictor", rules))
    with pytest.raises(Conflict):
        await place.cluster.evict(ref, as_user=evictor, uid="other")
    await place.cluster.evict(ref, as_user=evictor, uid=ref.uid, dry_run=True)
    assert await place.cluster.get(POD, place.namespace, "p") is not None
    await place.cluster.evict(ref, as_user=evictor, uid=ref.uid)
    assert await place.cluster.get(POD, place.namespace, "p") is None
    with pytest.raises(NotFound):
        await place.cluster.evict(ref, as_user=evictor, uid=ref.uid)


async def test_lists_select_by_label_and_field(place: Place) -> None:
    for name in ("b", "a"):
        await place.create(POD, pod(name))
    listed = await place.cluster.list(POD, place.namespace)
    assert [dig(o, "metadata", "name") for o in listed] == ["a", "b"]
    assert {o["kind"] for o in listed} == {"Pod"}
    assert len(await place.cluster.list(POD, place.namespace, labels={"app": "b"})) == 1
    assert len(await place.cluster.list(POD, place.namespace, fields={"metadata.name": "a"})) == 1
    assert len(await place.cluster.list(POD, place.namespace, limit=1)) == 1


def approval() -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "Approval", "metadata": {"name": "x"},
            "spec": {"runRef": {"name": "r"}, "step": "s"}, "status": {"observedGeneration": 3}}


async def test_own_objects_are_made_once_and_their_status_is_apart(place: Place) -> None:
    ref = ObjectRef(APPROVAL.resource, place.namespace, "x")
    body = approval()
    body.pop("status")
    obj = await place.cluster.create(APPROVAL.resource, place.namespace, body)
    assert dig(obj, "metadata", "generation") == 1
    assert obj.get("status") in (None, {"observedGeneration": -1})  # the default of the real schema
    with pytest.raises(Conflict):
        await place.cluster.create(APPROVAL.resource, place.namespace, body)
    shown = await place.cluster.patch_status(APPROVAL.resource, ref, {"observedGeneration": 1})
    assert dig(shown, "status", "observedGeneration") == 1
    assert dig(shown, "metadata", "generation") == 1
    merged = await place.cluster.merge(ref, {"metadata": {"labels": {"a": "b"}}})
    assert dig(merged, "status", "observedGeneration") == 1
    with pytest.raises(Conflict):
        await place.cluster.merge(ref, {"metadata": {"resourceVersion": "1", "labels": {"a": "c"}}})
    await place.cluster.remove(ref)
    await place.cluster.remove(ref)
    assert await place.cluster.get(APPROVAL.resource, place.namespace, "x") is None


async def test_nothing_is_made_in_a_namespace_that_is_not_there(place: Place) -> None:
    with pytest.raises(NotFound):
        await place.cluster.create(APPROVAL.resource, "no-such-namespace", {
            "metadata": {"name": "x"}, "spec": {"runRef": {"name": "r"}, "step": "s"}})
    assert await place.cluster.get(WORKFLOW_RUN.resource, "no-such-namespace", "x") is None


async def test_the_operator_writes_no_workload_as_itself(place: Place) -> None:
    with pytest.raises(GiveUp):
        await place.cluster.create(DEPLOYMENT, place.namespace, deployment("web"))


async def test_rights_can_be_asked_for(place: Place) -> None:
    allowed, _ = await place.cluster.can_i(COLLECTOR, "delete", "", "pods", "", place.namespace)
    refused, _ = await place.cluster.can_i(STRANGER, "delete", "", "pods", "", place.namespace)
    assert (allowed, refused) == (True, False)
    assert await place.cluster.whoami()


async def test_errors_are_ours(place: Place) -> None:
    with pytest.raises(AkesoError):
        await place.cluster.patch(ObjectRef(DEPLOYMENT, place.namespace, "../x"), [], as_user=COLLECTOR)
