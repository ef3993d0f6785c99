"""Catalogue and readiness: what a definition's author is told, and when it is looked at again."""
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.engine.rig import AUTONOMOUS, SCALE, SPEC, Rig, condition, spec

from akeso.engine.catalogue import Catalogue
from akeso.engine.intake import Router, pinned, workflow_key
from akeso.engine.listing import prime
from akeso.engine.readiness import problems_of
from akeso.errors import GiveUp, NotFound
from akeso.ingest.matching import match
from akeso.model.api.kinds import CLUSTER_WORKFLOW, WORKFLOW, parse
from akeso.model.names import API_VERSION, Reason
from akeso.testing import builders

LOCAL = {"provider": "Rules", "model": "rules"}


def obj(kind: str, name: str, body: Mapping[str, Any], namespace: str = "shop") -> dict[str, Any]:
    meta = {"name": name, "uid": f"{kind}-{name}", "generation": 1, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": dict(body)}


ALL = (obj("Workflow", "heal", SPEC), obj("Agent", "sre", AUTONOMOUS), obj("ModelEndpoint", "local", LOCAL))


async def problems(
    rig: Rig, body: Mapping[str, Any], *, kind: Any = WORKFLOW, known: tuple[Mapping[str, Any], ...] = ALL[1:],
) -> list[tuple[str, str]]:
    catalogue = Catalogue(rig.services)
    for one in known:
        catalogue.observe("ADDED", one)
    resource = parse(kind, obj(kind.kind, "heal", body, "" if kind is CLUSTER_WORKFLOW else "shop"))
    rig.definitions.put(resource)
    found = await problems_of(rig.services, resource)
    for problem in found:
        assert "Next: " in problem.message, problem
    return [(p.reason, p.message) for p in found]


async def test_a_workflow_that_can_work_has_no_problem() -> None:
    assert await problems(Rig(), SPEC) == []


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (spec({**SCALE, "action": {"name": "scale_deploymnt"}}), Reason.UNKNOWN_ACTION, "did you mean scale_deployment"),
    (spec({**SCALE, "action": {"name": "scale_deployment", "with": {"replica": 1}}}), Reason.INVALID_SPEC,
     "with.replica"),
    (spec({**SCALE, "action": {"name": "scale_deployment", "with": {"replicas": 3}, "target": {
        "group": "apps", "kind": "Deployment", "name": "{{ x }}"}}}), Reason.UNSUPPORTED, "templates"),
    (spec({"name": "a", "approval": {}}), Reason.UNSUPPORTED, "autonomy Approve"),
    (spec({"name": "a", "wait": {"seconds": 5}}), Reason.UNSUPPORTED, "`wait`"),
    (spec({"name": "a", "workflowRef": {"name": "other"}}), Reason.UNSUPPORTED, "`workflowRef`"),
    (spec({"name": "a", "verify": {"promql": "up"}}), Reason.UNSUPPORTED, "`verify.promql`"),
    (spec({**SCALE, "retry": {"limit": 1}}), Reason.UNSUPPORTED, "`retry`"),
    (spec({**SCALE, "condition": {"cel": "1 +"}}), Reason.CONDITION_INVALID, "condition.cel"),
    (spec({"name": "a", "verify": {"cel": "((("}}), Reason.CONDITION_INVALID, "verify.cel"),
    (spec({**SCALE, "name": "a", "dependsOn": ["b"]}, {**SCALE, "name": "b", "dependsOn": ["a"]}),
     Reason.CYCLE_IN_STEPS, "circle"),
    ({**SPEC, "triggers": [{"name": "t", "schedule": {"cron": "* * * * *"}}]}, Reason.UNSUPPORTED, "alert"),
    ({**SPEC, "triggers": [{"name": "t", "alert": {"matchers": [
        {"name": "a", "value": "(", "matchType": "=~"}]}}]}, Reason.INVALID_SPEC, "matcher"),
    ({**SPEC, "agentRef": {"name": "nobody"}}, Reason.AGENT_NOT_FOUND, "kubectl apply an Agent named nobody"),
    ({k: v for k, v in SPEC.items() if k != "serviceAccountName"}, Reason.NO_SERVICE_ACCOUNT, "serviceAccountName"),
]


@pytest.mark.parametrize(("body", "reason", "said"), BROKEN)
async def test_each_problem_says_what_is_wrong_and_what_to_do(body: dict[str, Any], reason: str, said: str) -> None:
    found = await problems(Rig(), body)
    assert [r for r, _ in found] == [reason]
    assert said in found[0][1]


async def test_an_endpoint_that_does_not_exist_is_told_to_both_authors() -> None:
    found = await problems(Rig(), SPEC, known=ALL[1:2])
    assert [r for r, _ in found] == [Reason.ENDPOINT_NOT_FOUND]


async def test_what_the_account_lacks_is_named_with_the_command_that_grants_it() -> None:
    rig = Rig()
    rig.cluster.server.may = lambda user, verb, *_: verb != "patch"
    [(reason, message)] = await problems(rig, SPEC)
    assert reason == Reason.PERMISSION_MISSING
    assert "system:serviceaccount:shop:healer may not patch deployments in shop" in message
    assert "akeso rbac --service-account healer -n shop scale_deployment | kubectl apply -f -" in message


async def test_a_cluster_workflow_needs_its_rights_everywhere() -> None:
    rig = Rig()
    rig.cluster.server.may = lambda user, verb, *_: not user
    body = {**SPEC, "agentRef": {"name": "sre", "namespace": "shop"}, "namespaceSelector": {}}
    [(reason, message)] = await problems(rig, body, kind=CLUSTER_WORKFLOW)
    assert reason == Reason.PERMISSION_MISSING
    assert "in every namespace" in message
    assert "--cluster-wide" in message


# the catalogue

async def level(rig: Rig, catalogue: Catalogue, seconds: float = 0) -> None:
    """One pass of the loop."""
    rig.now += timedelta(seconds=seconds)
    task = asyncio.create_task(catalogue.run())
    for _ in range(200):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def started(*objects: dict[str, Any]) -> tuple[Rig, Catalogue]:
    rig = Rig(*(objects or ALL))
    catalogue = Catalogue(rig.services)
    rig.services.models = _models(rig)
    await prime(rig.services, catalogue)
    await level(rig, catalogue)
    return rig, catalogue


def _models(rig: Rig) -> Any:
    from akeso.engine.models import Models
    return Models(rig.definitions, rig.cluster, rig.services.breakers)


async def test_definitions_that_can_work_become_ready() -> None:
    rig, _ = await started()
    for plural, name in (("akesoworkflows", "heal"), ("akesoagents", "sre"), ("modelendpoints", "local")):
        shown = rig.cluster.find(plural, "shop", name)
        assert condition(shown, "Ready")["status"] == "True", shown["status"]
        assert shown["status"]["observedGeneration"] == 1
    assert rig.cluster.find("akesoworkflows", "shop", "heal")["status"]["stepCount"] == 1
    assert rig.cluster.find("akesoagents", "shop", "sre")["status"]["activeModel"] == "local"


async def test_a_status_is_written_only_where_it_says_something_new() -> None:
    rig, catalogue = await started()
    before = len(rig.cluster.server.writes)
    await level(rig, catalogue, 3600)
    assert len(rig.cluster.server.writes) == before


async def test_a_definition_that_is_broken_is_not_ready_until_it_is_corrected() -> None:
    broken = obj("Workflow", "heal", spec({**SCALE, "action": {"name": "no_such_thing"}}))
    rig, catalogue = await started(broken, *ALL[1:])
    assert condition(rig.cluster.find("akesoworkflows", "shop", "heal"), "Ready")["reason"] == Reason.UNKNOWN_ACTION
    assert not match(rig.alert, rig.definitions)
    rig.cluster.change("akesoworkflows", "shop", "heal", lambda w: w.update(spec=dict(SPEC)))
    catalogue.observe("MODIFIED", rig.cluster.find("akesoworkflows", "shop", "heal"))
    await level(rig, catalogue)
    assert condition(rig.cluster.find("akesoworkflows", "shop", "heal"), "Ready")["status"] == "True"
    assert match(rig.alert, rig.definitions)


async def test_what_another_replica_found_ready_is_matched_here_too() -> None:
    rig = Rig()
    catalogue = Catalogue(rig.services)
    workflow = obj("Workflow", "heal", {k: v for k, v in SPEC.items() if k != "agentRef"})
    not_ready = {"conditions": [{"type": "Ready", "status": "False", "observedGeneration": 1}]}
    catalogue.observe("ADDED", {**workflow, "status": not_ready})
    assert not match(rig.alert, rig.definitions)
    catalogue.observe("MODIFIED", {**workflow, "status": {"conditions": [
        {"type": "Ready", "status": "True", "observedGeneration": 1}]}})
    assert match(rig.alert, rig.definitions)


async def test_an_object_that_does_not_fit_its_schema_is_told_so() -> None:
    rig, _ = await started(obj("Workflow", "heal", {"steps": []}))
    shown = condition(rig.cluster.find("akesoworkflows", "shop", "heal"), "Ready")
    assert shown["reason"] == Reason.INVALID_SPEC
    assert "spec.steps" in shown["message"]


async def test_a_grant_shows_within_the_recheck_period() -> None:
    rig = Rig(*ALL)
    rig.cluster.server.may = lambda user, verb, *_: verb != "patch"
    catalogue = Catalogue(rig.services)
    await prime(rig.services, catalogue)
    await level(rig, catalogue)
    assert condition(rig.cluster.find("akesoworkflows", "shop", "heal"), "PermissionsGranted")["status"] == "False"
    rig.cluster.server.may = lambda *_: True
    await level(rig, catalogue, 21)
    assert condition(rig.cluster.find("akesoworkflows", "shop", "heal"), "PermissionsGranted")["status"] == "True"


async def test_what_is_deleted_is_forgotten() -> None:
    rig, catalogue = await started()
    catalogue.observe("DELETED", ALL[0])
    assert not match(rig.alert, rig.definitions)
    assert rig.definitions.get("Workflow", "shop", "heal") is None
    catalogue.observe("DELETED", builders.namespace())
    assert rig.definitions.namespace("shop") is None


async def test_without_the_crds_the_start_says_what_to_install() -> None:
    rig = Rig()
    rig.cluster.fail("list", NotFound("no such resource"), plural="akesoworkflows")
    with pytest.raises(GiveUp, match="kubectl apply --server-side -k crds"):
        await prime(rig.services, None)


# intake

def test_an_alert_pins_the_definition_as_it_is_now() -> None:
    rig = Rig()
    rig.define()
    router = Router(rig.definitions)
    [one] = router.route([rig.alert])
    [again] = router.route([rig.alert])
    assert one.matches[0].workflow["spec"]["steps"][0]["action"]["with"] == {"replicas": 4}
    assert one.matches[0].workflow is again.matches[0].workflow
    rig.define(generation=2, priority=5)
    [newer] = router.route([rig.alert])
    assert newer.matches[0].workflow["generation"] == 2


def test_a_resolved_alert_starts_nothing() -> None:
    rig = Rig()
    rig.define()
    [one] = Router(rig.definitions).route([builders.alert(status="resolved")])
    assert one.matches == ()


def test_a_run_of_a_cluster_workflow_lives_beside_its_agent() -> None:
    rig = Rig()
    rig.definitions.put(parse(CLUSTER_WORKFLOW, obj("ClusterWorkflow", "all", {
        **SPEC, "agentRef": {"name": "sre", "namespace": "platform"}, "namespaceSelector": {}}, "")))
    rig.definitions.put(parse(rig_agent(), obj("Agent", "sre", AUTONOMOUS, "platform")))
    [one] = Router(rig.definitions).route([rig.alert])
    assert one.matches[0].namespace == "platform"
    assert one.matches[0].workflow_key == workflow_key("ClusterWorkflow", "", "all") == "/ClusterWorkflow/all"


def rig_agent() -> Any:
    from akeso.model.api.kinds import AGENT
    return AGENT


def test_a_pinned_definition_is_read_back_the_same() -> None:
    resource = parse(WORKFLOW, ALL[0])
    body = pinned(resource)
    assert parse(WORKFLOW, {"metadata": {"name": "x"}, "spec": body["spec"]}).spec == resource.spec
