"""The frozen cluster answers as the live one: the same questions to both, over objects that a real API server keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.integration.kubeobjects import create, deployment, pod
from tests.unit.ingest.shop import NOW

from akeso.ingest.evidence import gather
from akeso.ingest.frozen import FrozenCluster
from akeso.ingest.targets import resolve
from akeso.kube.client import Connection
from akeso.kube.cluster import Cluster
from akeso.model.alert import Alert
from akeso.model.objects import DEPLOYMENT, EVENT, NAMESPACE, NODE, POD, REPLICASET, SERVICE, Kind, Object, dig

pytestmark = pytest.mark.integration

QUESTIONS = [
    (POD, {}, {}),
    (POD, {"app": "web"}, {}),
    (POD, {"app": "no"}, {}),
    (POD, {}, {"metadata.name": "web-1"}),
    (POD, {}, {"status.phase": "Pending"}),
    (POD, {}, {"spec.nodeName": "no-such"}),
    (SERVICE, {}, {}),
    (REPLICASET, {"app": "web"}, {}),
    (DEPLOYMENT, {}, {}),
    (EVENT, {}, {"metadata.name": "ours", "involvedObject.kind": "Pod"}),
]


async def fill(admin: Connection, namespace: str) -> str:
    """A Deployment with the pod that the controllers make of it (no node takes it), a Service, an Event. Its name."""
    body = deployment("web", replicas=1)
    body["spec"]["template"]["spec"]["nodeSelector"] = {"no-such": "node"}
    await create(admin, DEPLOYMENT, namespace, body)
    await create(admin, POD, namespace, pod("web-1"))
    await create(
        admin,
        SERVICE,
        namespace,
        {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
    )
    async with asyncio.timeout(60):
        while not (made := await Cluster(admin).list(POD, namespace, labels={"app": "web"})):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    name, uid = str(dig(made[0], "metadata", "name")), dig(made[0], "metadata", "uid")
    await create(
        admin,
        EVENT,
        namespace,
        {
            "metadata": {"name": "ours"},
            "reason": "BackOff",
            "message": "m",
            "type": "Warning",
            "count": 1,
            "involvedObject": {"kind": "Pod", "name": name, "namespace": namespace, "uid": uid},
            "firstTimestamp": "2026-11-20T12:00:00Z",
            "lastTimestamp": "2026-11-20T12:00:00Z",
        },
    )
    return name


async def freeze(live: Cluster, namespace: str) -> FrozenCluster:
    """Everything of that namespace as it is now, and the nodes."""
    objects: list[Object] = [*await live.list(NODE)]
    for kind in (POD, SERVICE, REPLICASET, DEPLOYMENT, EVENT):
        objects += await live.list(kind, namespace)
    found = await live.get(NAMESPACE, "", namespace)
    assert found is not None
    return FrozenCluster([*objects, found])


def uids(found: Sequence[Object]) -> list[str]:
    return [dig(o, "metadata", "uid") for o in found]


async def test_both_clusters_give_the_same_answers(admin: Connection, namespace: str) -> None:
    await fill(admin, namespace)
    live = Cluster(admin)
    frozen = await freeze(live, namespace)
    for kind, labels, fields in QUESTIONS:
        expected = uids(await live.list(kind, namespace, labels=labels, fields=fields))
        assert uids(await frozen.list(kind, namespace, labels=labels, fields=fields)) == expected, (
            kind.kind,
            labels,
            fields,
        )
    for kind, name in ((POD, "web-1"), (POD, "none"), (SERVICE, "web")):
        assert dig(await frozen.get(kind, namespace, name), "metadata", "uid") == dig(
            await live.get(kind, namespace, name), "metadata", "uid"
        )
    assert await live.logs(namespace, "web-1", "app") == await frozen.logs(namespace, "web-1", "app") is None


async def test_the_target_and_the_evidence_are_the_same_live_and_frozen(admin: Connection, namespace: str) -> None:
    name = await fill(admin, namespace)
    live = Cluster(admin)
    alert = Alert("f", "firing", {"alertname": "KubePodCrashLooping", "namespace": namespace, "pod": name}, {}, NOW)
    seen = []
    for reader in (live, await freeze(live, namespace)):
        found = await resolve(alert, reader)
        assert [r.kind.kind for r in found.chain] == ["Pod", "ReplicaSet", "Deployment"], found.message
        snapshot = await gather([alert], found, reader, None, [], NOW)
        assert "ours" in {e["metadata"]["name"] for e in snapshot.events}
        objects = {(o["kind"], o["metadata"]["name"]) for o in snapshot.objects if o["kind"] != "EndpointSlice"}
        seen.append((found.target, objects, set(snapshot.missing)))
    assert seen[0] == seen[1]
    kinds = {kind for kind, _ in seen[0][1]} - {"Node"}  # the cluster may have none
    assert kinds == {"Pod", "ReplicaSet", "Deployment", "Namespace", "Service"}


async def test_reads_of_what_does_not_exist_are_none_and_not_errors(admin: Connection) -> None:
    unknown: tuple[Kind, str, str] = (POD, "no-such-namespace", "x")
    assert await Cluster(admin).get(*unknown) is None
    assert await FrozenCluster([]).get(*unknown) is None
