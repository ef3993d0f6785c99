"""What is gathered, in how many round trips, and what happens where something cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.unit.ingest import shop
from tests.unit.ingest.shop import NOW, alert, cluster, make

from akeso.errors import ClusterAway, Forbidden, TryLater
from akeso.ingest.evidence import gather
from akeso.ingest.frozen import FrozenCluster, FrozenMetrics, series_from
from akeso.ingest.targets import Resolution, resolve
from akeso.model.evidence import PastAction, Series, Snapshot
from akeso.model.objects import EVENT, HPA, POD, Kind, Object
from akeso.ports import ClusterReader, MetricReader

POD_NAME = shop.checkout_pod["metadata"]["name"]
CRASH = alert("KubePodCrashLooping", namespace="shop", pod=POD_NAME, container="app")


async def look(reader: ClusterReader, metrics: MetricReader | None = None, of: Any = CRASH, **more: Any) -> Snapshot:
    return await gather([of], await resolve(of, reader), reader, metrics, [], NOW, **more)


def event(name: str, about: Object, at: str = "2026-11-20T11:59:00Z") -> Object:
    ref = {
        "kind": about["kind"],
        "name": about["metadata"]["name"],
        "uid": about["metadata"]["uid"],
        "namespace": "shop",
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": ref,
        "lastTimestamp": at,
    }


async def test_everything_around_a_deployment_is_gathered() -> None:
    mounting = {
        **shop.checkout,
        "spec": {
            **shop.checkout["spec"],
            "template": {
                "metadata": {"labels": {"app": "checkout"}},
                "spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "cart"}}]},
            },
        },
    }
    old = make("ReplicaSet", "checkout-old", owner=shop.checkout, labels={"app": "checkout"})
    foreign = make("ReplicaSet", "foreign", labels={"app": "checkout"})
    seen = await look(
        cluster(
            mounting,
            old,
            foreign,
            without=(shop.checkout,),
            events=[event("mine", shop.checkout_pod), event("others", shop.db_pod)],
            logs={f"shop/{POD_NAME}/app": "now", f"shop/{POD_NAME}/app/previous": "before"},
        )
    )
    names = {f"{o['kind']}/{o['metadata']['name']}" for o in seen.objects}
    assert names == {
        f"Pod/{POD_NAME}",
        "ReplicaSet/checkout-5d8f7c9b4",
        "ReplicaSet/checkout-old",
        "Deployment/checkout",
        "Namespace/shop",
        "Node/node-1",
        "HorizontalPodAutoscaler/checkout",
        "PodDisruptionBudget/checkout",
        "Service/checkout",
        "EndpointSlice/checkout-abc",
        "PersistentVolumeClaim/cart",
    }
    assert [o["kind"] for o in seen.objects[:3]] == ["Pod", "ReplicaSet", "Deployment"]
    assert [e["metadata"]["name"] for e in seen.events] == ["mine"]
    assert seen.logs == {f"shop/{POD_NAME}/app": "now", f"shop/{POD_NAME}/app/previous": "before"}
    assert seen.missing == {"metrics": "no Prometheus is configured"}
    assert seen.target_object == mounting


async def test_a_node_brings_its_pods_and_the_other_nodes() -> None:
    seen = await look(cluster(), of=alert("KubeNodeNotReady", node="node-1"))
    assert {o["metadata"]["name"] for o in seen.of_kind("Node")} == {"node-1", "node-2"}
    assert POD_NAME in {o["metadata"]["name"] for o in seen.of_kind("Pod")}
    assert "db-0" not in {o["metadata"]["name"] for o in seen.of_kind("Pod")}


async def test_a_claim_brings_the_pods_that_mount_it() -> None:
    fills = alert("KubePersistentVolumeFillingUp", namespace="shop", persistentvolumeclaim="cart")
    seen = await look(cluster(), of=fills)
    assert [o["metadata"]["name"] for o in seen.of_kind("Pod")] == [POD_NAME]


async def test_without_a_target_there_is_a_snapshot_that_says_so() -> None:
    seen = await look(cluster(), of=alert("KubePodCrashLooping", namespace="shop", pod="no"))
    assert seen.target is None
    assert "no" in seen.missing["target"]


async def test_history_and_all_alerts_are_kept() -> None:
    past = PastAction(NOW, "w", "restart_deployment", "k", "Verified")
    reader = cluster()
    seen = await gather([CRASH, CRASH], await resolve(CRASH, reader), reader, None, [past], NOW)
    assert (len(seen.alerts), seen.history) == (2, (past,))


class Slow(FrozenCluster):
    """Each call takes 20 ms; counts how many are made after one another."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        await asyncio.sleep(0.02)
        return await super().get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str = "", **how: Any) -> Sequence[Object]:
        await asyncio.sleep(0.02)
        return await super().list(kind, namespace, **how)

    async def logs(self, namespace: str, pod: str, container: str, **how: Any) -> str | None:
        await asyncio.sleep(0.02)
        return await super().logs(namespace, pod, container, **how)


async def test_a_deployments_pod_is_resolved_in_one_round_trip_and_its_evidence_takes_two() -> None:
    reader, loop = Slow(shop.EVERYTHING), asyncio.get_running_loop()
    started = loop.time()
    found = await resolve(CRASH, reader)
    resolved = loop.time()
    await gather([CRASH], found, reader, None, [], NOW)
    assert resolved - started < 0.04
    assert loop.time() - resolved < 0.06


class Broken(FrozenCluster):
    """Every read of these kinds fails."""

    failing: Mapping[Kind, Exception] = {}

    async def list(self, kind: Kind, namespace: str = "", **how: Any) -> Sequence[Object]:
        if kind in self.failing:
            raise self.failing[kind]
        return await super().list(kind, namespace, **how)

    async def logs(self, namespace: str, pod: str, container: str, **how: Any) -> str | None:
        raise TryLater("The kubelet does not answer")


async def test_one_part_that_fails_costs_only_itself() -> None:
    reader = Broken(shop.EVERYTHING)
    reader.failing = {EVENT: ClusterAway(), HPA: Forbidden("may not list")}
    seen = await look(reader)
    assert set(seen.missing) == {
        "events",
        "horizontalpodautoscalers",
        "metrics",
        f"logs shop/{POD_NAME}/app",
        f"logs shop/{POD_NAME}/app/previous",
    }
    assert "may not list" in seen.missing["horizontalpodautoscalers"]
    assert seen.of_kind("Service")


async def test_what_hangs_is_missing_after_the_deadline() -> None:
    class Hanging(FrozenCluster):
        async def list(self, kind: Kind, namespace: str = "", **how: Any) -> Sequence[Object]:
            if kind == POD:
                await asyncio.sleep(60)
            return await super().list(kind, namespace, **how)

    seen = await look(Hanging(shop.EVERYTHING), deadline_seconds=0.1)
    assert "deadline" in seen.missing["pods"]
    assert POD_NAME in {o["metadata"]["name"] for o in seen.of_kind("Pod")}  # the alert's own was read before


async def test_only_an_unreadable_target_is_an_error() -> None:
    found = await resolve(CRASH, cluster())
    bare = Resolution(found.target, found.chain, found.reason, found.message)

    class Away(FrozenCluster):
        async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
            raise ClusterAway()

    with pytest.raises(ClusterAway):
        await gather([CRASH], bare, Away([]), None, [], NOW)
    with pytest.raises(ClusterAway):
        await gather([CRASH], bare, FrozenCluster([]), None, [], NOW)
    assert (await gather([CRASH], bare, cluster(), None, [], NOW)).target_object is not None


async def test_large_namespaces_are_cut_and_say_so() -> None:
    crowd = [make("Pod", f"checkout-{n}", labels={"app": "checkout"}) for n in range(600)]
    noise = [event(f"e{n:04}", shop.db_pod) for n in range(600)]
    seen = await look(cluster(*crowd, events=[*noise, event("z-mine", shop.checkout)]))
    assert len(seen.of_kind("Pod")) == 100
    assert seen.objects[0]["metadata"]["name"] == POD_NAME
    assert "100 of" in seen.missing["pods"]
    assert [e["metadata"]["name"] for e in seen.events] == ["z-mine"]  # asked for by name once the list was full


async def test_metrics_come_by_plain_selectors_and_only_the_target_s_own() -> None:
    at = NOW.timestamp()
    raw = [
        {
            "metric": {
                "__name__": "container_memory_working_set_bytes",
                "namespace": "shop",
                "pod": POD_NAME,
                "container": "app",
            },
            "values": [[at - 30, "5e7"], [at - 7200, "1"]],
        },
        {
            "metric": {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "pod": "db-0"},
            "values": [[at, "1"]],
        },
    ]
    seen = await look(cluster(), FrozenMetrics(series_from(raw), NOW))
    assert [(s.labels["pod"], s.values) for s in seen.series] == [(POD_NAME, ((at - 30, 5e7),))]
    assert "metrics" not in seen.missing


async def test_a_prometheus_that_is_away_is_missing_by_metric() -> None:
    class Away:
        async def select(self, metric: str, labels: Mapping[str, str], *, minutes: int = 60) -> Sequence[Series]:
            raise TryLater("Prometheus did not answer")

    seen = await look(cluster(), Away())
    assert "did not answer" in seen.missing["container_memory_working_set_bytes"]
    assert seen.series == ()


async def test_the_events_of_a_pod_that_is_gone_are_kept() -> None:
    gone = make("Pod", "checkout-5d8f7c9b4-zz4zz")
    fired = alert("KubePodCrashLooping", namespace="shop", pod="checkout-5d8f7c9b4-zz4zz")
    seen = await look(cluster(events=[event("left", gone)]), of=fired)
    assert [e["metadata"]["name"] for e in seen.events] == ["left"]
