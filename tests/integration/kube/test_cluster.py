"""The client against a real API server: raw objects, errors by status, identities, Events."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import TestCluster
from tests.integration.kubeobjects import apply_rbac, create, deployment, kubeconfig_of, pod

from akeso.act import rbac
from akeso.clock import system_clock
from akeso.errors import ClusterAway, Conflict, Forbidden, GiveUp, InvalidInput, NotFound, Unprocessable
from akeso.kube.client import Connection, connect
from akeso.kube.cluster import Cluster
from akeso.kube.events import EVENTS, Recorder
from akeso.model.api.kinds import CUSTOM_KINDS
from akeso.model.objects import DEPLOYMENT, NAMESPACE, POD, ObjectRef, ref_of
from akeso.sdk.action import Rule
from akeso.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def live(admin: Connection) -> Cluster:
    return Cluster(admin)


async def test_an_object_comes_as_the_server_has_it(live: Cluster, namespace: str) -> None:
    await create(live.connection, DEPLOYMENT, namespace, deployment("web"))
    found = await live.get(DEPLOYMENT, namespace, "web")
    assert found is not None
    assert (found["kind"], found["metadata"]["generation"]) == ("Deployment", 1)
    assert await live.get(DEPLOYMENT, namespace, "other") is None


async def test_a_list_names_its_kind_and_selects(live: Cluster, namespace: str) -> None:
    for name in ("a", "b", "c"):
        await create(live.connection, POD, namespace, pod(name))
    found = await live.list(POD, namespace, labels={"app": "b"})
    assert [(o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in found] == [("v1", "Pod", "b")]
    assert len(await live.list(POD, namespace, fields={"metadata.name": "c"})) == 1
    assert len(await live.list(POD, namespace, limit=2)) == 2
    assert namespace in {o["metadata"]["name"] for o in await live.list(NAMESPACE)}


async def test_a_container_that_never_ran_has_no_log(live: Cluster, namespace: str) -> None:
    await create(live.connection, POD, namespace, pod("web"))
    assert await live.logs(namespace, "web", "app", previous=True) is None
    assert await live.logs(namespace, "gone", "app") is None


async def test_names_that_lead_elsewhere_are_refused_before_anything_is_sent(live: Cluster, namespace: str) -> None:
    for name in ("..", "a/b", "", "%2e%2e"):
        with pytest.raises(InvalidInput):
            await live.get(POD, namespace, name)
    with pytest.raises(InvalidInput):
        await live.get(POD, "", "web")


async def test_errors_say_what_the_caller_does_next(live: Cluster, namespace: str) -> None:
    made = await create(live.connection, DEPLOYMENT, namespace, deployment("web"))
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"

    async def patch(*operations: dict[str, Any]) -> None:
        await live.connection.request(
            "PATCH", path, query={"fieldValidation": "Strict"}, body=list(operations),
            content_type="application/json-patch+json")

    with pytest.raises(Conflict):
        await patch({"op": "test", "path": "/metadata/uid", "value": "other"})
    with pytest.raises(Unprocessable) as invalid:
        await patch({"op": "replace", "path": "/spec/replicas", "value": -1})
    assert "must be greater than or equal to 0" in str(invalid.value)
    with pytest.raises(Unprocessable) as unknown:
        await patch({"op": "add", "path": "/spec/replica", "value": 1})
    assert 'unknown field "spec.replica"' in str(unknown.value)
    assert "hunter2" not in str(unknown.value)  # the server's answer carries the whole object
    with pytest.raises(Conflict):
        await create(live.connection, DEPLOYMENT, namespace, deployment("web"))
    with pytest.raises(NotFound):
        await live.connection.request("GET", f"/api/v1/namespaces/{namespace}/pods/none")
    collector = "system:serviceaccount:kube-system:generic-garbage-collector"
    with pytest.raises(Conflict):
        await live.delete(ref_of(made), as_user=collector, uid="other")


async def test_a_server_that_is_not_there_is_away_and_nothing_was_sent(cluster: TestCluster, tmp_path: Path) -> None:
    config = tmp_path / "config"
    lines = cluster.kubeconfig.read_text()
    async with await connect(Settings(kubeconfig=str(cluster.kubeconfig))) as known:
        config.write_text(lines.replace(known.host, "https://127.0.0.1:1"))
    async with await connect(Settings(kubeconfig=str(config))) as connection:
        with pytest.raises(ClusterAway):
            await connection.request("PATCH", "/api/v1/nodes/x", body=[])


async def test_no_configuration_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No cluster"):
        await connect(Settings(kubeconfig=str(tmp_path / "none")))


async def test_the_operator_writes_nothing_but_its_own_kinds_as_itself(live: Cluster, namespace: str) -> None:
    with pytest.raises(GiveUp):
        await live.create(DEPLOYMENT, namespace, deployment("web"))
    with pytest.raises(GiveUp):
        await live.merge(ObjectRef(DEPLOYMENT, namespace, "web"), {"spec": {"replicas": 0}})
    with pytest.raises(GiveUp):
        await live.patch(ObjectRef(DEPLOYMENT, namespace, "web"), [], as_user="")
    assert await live.get(DEPLOYMENT, namespace, "web") is None


async def test_the_operator_acts_only_through_the_account_that_a_tenant_lent_it(
    live: Cluster, cluster: TestCluster, namespace: str, tmp_path: Path,
) -> None:
    """Its generated RBAC on a real authorizer: reads, no writes, one impersonation, no Secrets."""
    name = f"akeso-{namespace}"
    made = await create(live.connection, DEPLOYMENT, namespace, deployment("web"))
    manifests = rbac.operator((k.resource for k in CUSTOM_KINDS), namespace=namespace, name=name)
    lent = rbac.tenant(
        namespace, "lent", [Rule("apps", "deployments", ("patch",))], operator_namespace=namespace, operator_name=name)
    other = [m for m in rbac.tenant(namespace, "other", [Rule("apps", "deployments", ("patch",))])
             if "impersonate" not in m["metadata"]["name"]]
    await apply_rbac(live.connection, [*manifests, *lent, *other])
    config = await kubeconfig_of(live.connection, cluster.kubeconfig, namespace, name, tmp_path / "operator")
    replicas = [{"op": "add", "path": "/spec/replicas", "value": 0}]
    try:
        async with await connect(Settings(kubeconfig=str(config))) as connection:
            operator = Cluster(connection)
            assert await operator.whoami() == f"system:serviceaccount:{namespace}:{name}"
            assert await operator.get(DEPLOYMENT, namespace, "web") is not None
            await operator.patch(ref_of(made), replicas, as_user=f"system:serviceaccount:{namespace}:lent")
            for account in (f"{namespace}:other", "kube-system:clusterrole-aggregation-controller"):
                with pytest.raises(Forbidden):
                    await operator.patch(ref_of(made), replicas, as_user=f"system:serviceaccount:{account}")
            with pytest.raises(Forbidden):
                await operator.delete(
                    ref_of(made), as_user=f"system:serviceaccount:{namespace}:lent", uid=made["metadata"]["uid"])
            for method, path in (
                ("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/web"),
                ("GET", f"/api/v1/namespaces/{namespace}/secrets"),
                ("GET", f"/api/v1/namespaces/{namespace}/secrets/x"),
                ("GET", f"/api/v1/namespaces/{namespace}/configmaps/x"),
            ):
                with pytest.raises(Forbidden):
                    await connection.request(method, path, body={} if method == "PATCH" else None)
            assert (await operator.can_i_self("patch", "apps", "deployments"))[0] is False
            assert (await operator.can_i_self("get", "", "pods", "log"))[0] is True
    finally:
        for plural in ("clusterroles", "clusterrolebindings"):
            await live.connection.request("DELETE", f"/apis/rbac.authorization.k8s.io/v1/{plural}/{name}", body={})


async def test_access_reviews_answer_for_a_service_account(live: Cluster, namespace: str) -> None:
    await apply_rbac(live.connection, rbac.tenant(namespace, "fixer", [Rule("", "pods/eviction", ("create",))]))
    user = f"system:serviceaccount:{namespace}:fixer"
    allowed, why = await live.can_i(user, "create", "", "pods", "eviction", namespace)
    assert allowed
    assert "akeso-fixer" in why
    assert (await live.can_i(user, "delete", "", "pods", "", namespace))[0] is False
    assert (await live.can_i(user, "create", "", "pods", "eviction", "default"))[0] is False


async def test_a_token_counts_only_for_its_audience(live: Cluster, namespace: str) -> None:
    await apply_rbac(live.connection, rbac.tenant(namespace, "sender", []))
    answer = await live.connection.request(
        "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/sender/token",
        body={"spec": {"audiences": ["akeso-webhook"]}})
    token = answer["status"]["token"]
    assert await live.token_review(token, "akeso-webhook") == f"system:serviceaccount:{namespace}:sender"
    assert await live.token_review(token, "other") is None
    assert await live.token_review("nonsense", "akeso-webhook") is None
    assert await live.token_review("", "akeso-webhook") is None


async def test_a_token_that_ran_out_is_read_again(
    live: Cluster, cluster: TestCluster, namespace: str, tmp_path: Path,
) -> None:
    await apply_rbac(live.connection, rbac.tenant(namespace, "reader", []))
    config = await kubeconfig_of(live.connection, cluster.kubeconfig, namespace, "reader", tmp_path / "reader")
    good = config.read_text()
    token = next(line for line in good.splitlines() if "token:" in line).split("token:")[1].strip()
    file = tmp_path / "token"
    config.write_text(good.replace(f"token: {token}", f"tokenFile: {file}"))
    file.write_text("expired")
    async with await connect(Settings(kubeconfig=str(config))) as connection:
        with pytest.raises(Forbidden):
            await Cluster(connection).whoami()
        file.write_text(token)
        assert await Cluster(connection).whoami() == f"system:serviceaccount:{namespace}:reader"


async def test_an_event_under_a_key_is_posted_once(live: Cluster, namespace: str) -> None:
    made = await create(live.connection, DEPLOYMENT, namespace, deployment("web"))
    recorder = Recorder(live, system_clock, "akeso-0")
    for _ in range(3):
        await recorder.post(ref_of(made), "ActionApplied", "é" * 2000, action="restart_deployment", key="run-1/step-1")
    await recorder.post(ref_of(made), "ActionApplied", "again", action="restart_deployment", kind="Warning")
    events = await live.list(EVENTS, namespace, fields={"reportingController": "akeso.dev/operator"})
    assert sorted(e["type"] for e in events) == ["Normal", "Warning"]
    assert {e["regarding"]["uid"] for e in events} == {made["metadata"]["uid"]}
    assert max(len(e["note"]) for e in events) <= 1024


async def test_an_event_in_a_namespace_that_is_gone_is_no_more_than_try_later(live: Cluster) -> None:
    with pytest.raises((ClusterAway, Forbidden)):
        await Recorder(live, system_clock, "akeso-0").post(
            ObjectRef(POD, "no-such-namespace", "web", "uid"), "ActionApplied", "note", action="x")


async def test_the_server_says_its_version(live: Cluster) -> None:
    assert (await live.server_version()).startswith("v1.")

