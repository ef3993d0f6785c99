"""Who a request runs as, and that nothing is sent where that is not clear."""
from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from akeso.errors import GiveUp, InvalidInput, OutcomeUnknown
from akeso.kube import paths
from akeso.kube.client import Connection, env_proxies, impersonation
from akeso.kube.cluster import Cluster
from akeso.model.objects import DEPLOYMENT, NODE, POD, ObjectRef

WEB = ObjectRef(DEPLOYMENT, "shop", "web", "uid-1")
FIXER = "system:serviceaccount:shop:fixer"
NOBODY = [
    "", " ", "admin", "system:admin", "system:serviceaccount::fixer", "system:serviceaccount:shop:",
    "system:serviceaccount:shop",
    f"{FIXER}\n", f"{FIXER}\r\nImpersonate-Group: system:masters", f"{FIXER}:x", "system:serviceaccount:Shop:fixer",
]


@pytest.fixture
async def server() -> AsyncIterator[tuple[Cluster, list[web.Request]]]:
    """A listener that records what arrives; /slow never answers."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request)
        if request.path.endswith("/slow"):
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"kind": "Deployment", "items": None})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with Connection(Configuration(host=f"http://{host}:{port}"), timeout=5) as connection:
        yield Cluster(connection), seen
    await runner.cleanup()


def test_the_header_names_the_service_account() -> None:
    assert impersonation(FIXER) == {"Impersonate-User": FIXER}


@pytest.mark.parametrize("user", NOBODY)
def test_a_user_that_is_no_service_account_is_refused(user: str) -> None:
    with pytest.raises(GiveUp, match="without a ServiceAccount"):
        impersonation(user)


@pytest.mark.parametrize("user", NOBODY)
async def test_no_write_is_sent_as_nobody(server: tuple[Cluster, list[web.Request]], user: str) -> None:
    cluster, seen = server
    writes = (
        cluster.patch(WEB, [], as_user=user), cluster.patch(WEB, [], as_user=user, dry_run=True),
        cluster.delete(WEB, as_user=user, uid="u"), cluster.evict(ObjectRef(POD, "shop", "p"), as_user=user, uid="u"),
        cluster.create(DEPLOYMENT, "shop", {}, as_user=user), cluster.merge(WEB, {}, as_user=user),
        cluster.connection.request("PATCH", "/x", as_user=user),
    )
    for write in writes:
        with pytest.raises(GiveUp):
            await write
    assert seen == []


async def test_writes_carry_their_user_and_reads_none(server: tuple[Cluster, list[web.Request]]) -> None:
    cluster, seen = server
    await cluster.patch(WEB, [{"op": "test", "path": "/x", "value": 1}], as_user=FIXER, dry_run=True)
    await cluster.delete(WEB, as_user=FIXER, uid="uid-1", grace_seconds=0)
    await cluster.evict(ObjectRef(POD, "shop", "p"), as_user=FIXER, uid="uid-2")
    await cluster.get(DEPLOYMENT, "shop", "web")
    await cluster.list(DEPLOYMENT, "shop", labels={"a": "b"})
    assert [r.headers.get("Impersonate-User") for r in seen] == [FIXER, FIXER, FIXER, None, None]
    assert seen[0].query["dryRun"] == "All"
    assert seen[0].headers["Content-Type"] == "application/json-patch+json"
    assert (await seen[1].json())["preconditions"] == {"uid": "uid-1"}
    assert (await seen[2].json())["deleteOptions"] == {"preconditions": {"uid": "uid-2"}}
    assert all("resourceVersion" not in r.query for r in seen)  # quorum reads


async def test_a_removal_without_a_uid_is_refused(server: tuple[Cluster, list[web.Request]]) -> None:
    cluster, seen = server
    with pytest.raises(GiveUp, match="uid"):
        await cluster.delete(WEB, as_user=FIXER, uid="")
    assert seen == []


async def test_a_write_whose_connection_breaks_is_unknown(server: tuple[Cluster, list[web.Request]]) -> None:
    cluster, _ = server
    with pytest.raises(OutcomeUnknown):
        await cluster.patch(ObjectRef(DEPLOYMENT, "shop", "slow"), [], as_user=FIXER)


def test_paths_are_those_of_the_api_server() -> None:
    assert paths.of(WEB) == "/apis/apps/v1/namespaces/shop/deployments/web"
    assert paths.item(NODE, "", "n1", "status") == "/api/v1/nodes/n1/status"
    assert paths.collection(POD) == "/api/v1/pods"
    assert paths.item(POD, "shop", "a?b#c") == "/api/v1/namespaces/shop/pods/a%3Fb%23c"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "%2e%2e"])
def test_a_name_does_not_lead_to_another_path(name: str) -> None:
    with pytest.raises(InvalidInput):
        paths.item(POD, "shop", name)
    with pytest.raises(InvalidInput):
        paths.item(POD, name, "web")


@pytest.mark.parametrize(("environment", "proxied"), [
    ({}, False),
    ({"https_proxy": "http://proxy:3128"}, True),
    ({"https_proxy": "http://proxy:3128", "no_proxy": "api.example"}, False),
    ({"http_proxy": "http://proxy:3128"}, False),
])
def test_a_proxy_of_the_environment_is_only_asked_for_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxied: bool,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert env_proxies("https://api.example:6443") is proxied
