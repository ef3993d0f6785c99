"""The frozen cluster answers as the live one; tests/integration/ingest compares them on a real API server."""

from __future__ import annotations

from tests.unit.ingest import shop
from tests.unit.ingest.shop import cluster

from akeso.ingest.frozen import FrozenCluster
from akeso.model.objects import EVENT, NODE, POD


async def test_objects_are_found_by_place_and_nothing_is_none() -> None:
    assert await cluster().get(POD, "shop", "db-0") == shop.db_pod
    assert await cluster().get(POD, "other", "db-0") is None
    assert await cluster().get(NODE, "ignored", "node-1") == shop.nodes[0]


async def test_lists_select_by_labels_fields_and_limit_in_order() -> None:
    assert [o["metadata"]["name"] for o in await cluster().list(POD, "shop", labels={"app": "db"})] == ["db-0"]
    assert [o["metadata"]["name"] for o in await cluster().list(POD, fields={"spec.nodeName": "node-1"})] == [
        "node-exporter-k5v2n",
        shop.checkout_pod["metadata"]["name"],
    ]
    assert len(await cluster().list(POD, limit=1)) == 1


async def test_both_forms_of_events_are_one_kind() -> None:
    new = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "shop"},
        "regarding": {"kind": "Pod", "name": "db-0"},
        "note": "said",
        "deprecatedCount": 3,
    }
    found = await FrozenCluster([], [new]).list(EVENT, "shop", fields={"involvedObject.name": "db-0"})
    assert [(e["message"], e["count"]) for e in found] == [("said", 3)]


async def test_logs_are_tails() -> None:
    frozen = FrozenCluster([], logs={"n/p/c": "1\n2\n3\n", "n/p/c/previous": "x" * 100_000})
    assert await frozen.logs("n", "p", "c", tail_lines=2) == "2\n3\n"
    assert len(await frozen.logs("n", "p", "c", previous=True) or "") == 65_536
    assert await frozen.logs("n", "p", "other") is None
