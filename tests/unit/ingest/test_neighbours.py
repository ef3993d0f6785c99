"""Where a failing workload's own words lead: to few places, quickly, and only to what the API server has there."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from tests.unit.ingest.shop import cluster, make, workload

from akeso.ingest import neighbours
from akeso.model.objects import SERVICE, Kind, Object

CALLED = 'failed calling webhook "check.policy.example": Post "https://policy-webhook.policy.svc:443/check": refused'


@pytest.mark.parametrize(("text", "places"), [
    (CALLED, ["policy"]),
    ("postgres://app@db.data:5432/shop", ["data"]),
    ("db", []),
    ("cache.shop:6379", []),                              # its own namespace is read anyway
    ("registry.example.org/web:1.2 10.0.0.7:80", []),     # names and addresses outside the cluster
    ("a.one:1 a.two:1 a.three:1", ["one", "two"]),        # bounded
])
def test_hosts_lead_to_other_namespaces(text: str, places: list[str]) -> None:
    assert neighbours.elsewhere(text, "shop") == places


@pytest.mark.parametrize("text", ["a-" * 32_768, "a." * 32_768, "a.b-" * 16_384, "." * 65_536])
def test_hostile_text_is_searched_in_no_time(text: str) -> None:
    began = time.process_time()
    neighbours.elsewhere(text, "shop")
    assert time.process_time() - began < 0.5


async def test_a_needed_component_comes_with_its_pods_and_a_stranger_only_where_it_fails() -> None:
    needs_db = workload("Deployment", "web")
    container = {"name": "app", "env": [{"name": "DB", "value": "db:5432"}]}
    needs_db["spec"]["template"]["spec"] = {"containers": [container]}
    down = make("Pod", "other-1", labels={"app": "other"}, status={"phase": "Failed"})
    reader = cluster(make("Service", "db", spec={"selector": {"app": "db"}}), down)

    async def listed(kind: Kind, namespace: str, *, limit: int) -> Sequence[Object]:
        assert limit <= 200
        return await reader.list(kind, namespace, limit=limit)

    services = await reader.list(SERVICE, "shop")
    found = await neighbours.around(needs_db, "shop", [], services, [], listed)
    names = {f"{o['kind']}/{o['metadata']['name']}" for o in found}
    assert {"Service/db", "StatefulSet/db", "Pod/db-0", "Pod/other-1"} <= names
    assert not names & {"Service/checkout", "DaemonSet/agent"}
