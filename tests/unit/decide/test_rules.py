"""Contrast groups: the same alert, a different truth; and what the rule table refuses to be."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from tests.scenarios import generate as g
from tests.scenarios.build import App, Raw, alert, cluster, container, event, scenario, series

from akeso.decide import rules
from akeso.decide.facts.extract import extract
from akeso.decide.ruletable import parse, read
from akeso.engine.evaluate import registered
from akeso.engine.scenario import build
from akeso.errors import InvalidInput
from akeso.model.evidence import Fact, Facts, PastAction, Tier
from akeso.model.names import CORDONED_BY
from akeso.model.verdict import Answer, Choice
from akeso.testing import builders as b

OOM = b.terminated("OOMKilled", exit_code=137, minutes=3)
DOWN: dict[str, Any] = {"ready": False, "state": b.waiting()}


async def facts_of(objects: Sequence[Raw], *alerts: Raw, **more: Any) -> Facts:
    return extract((await build(scenario("T", "", alerts, objects, right=[], harmful=[], **more))).snapshot)


async def decide(objects: Sequence[Raw], *alerts: Raw, **more: Any) -> Choice:
    return rules.choose(await facts_of(objects, *alerts, **more), registered())


def about(app: App, name: str = "KubePodCrashLooping", index: int = 0, **more: Any) -> Raw:
    return alert(name, {"namespace": "shop", "pod": app.pods[index]["metadata"]["name"]}, **more)


async def test_an_oom_that_came_with_the_rollout_is_rolled_back_and_not_fed() -> None:
    app = App(containers=[container(memory="64Mi")], old=[container(memory="256Mi")])
    app.new(1, restarts=4, last_state=OOM, **DOWN).old(3)
    facts = await facts_of([*app.objects, *cluster()], about(app))
    assert rules.choose(facts, registered()).action == "rollback_deployment"
    assert any(line.startswith("NO-NEW-OOM") for line in rules.contradictions("set_memory_limit", facts))


async def test_a_first_revision_that_is_killed_for_memory_gets_more() -> None:
    app = App(revision=1, ready=0, rollout_minutes=6, available_since=5).new(1, restarts=3, last_state=OOM, **DOWN)
    assert (await decide([*app.objects, *cluster()], about(app, minutes=1))).action == "set_memory_limit"


async def test_exit_137_that_is_no_oom_gets_no_memory() -> None:
    app = App(rollout_minutes=8000, ready=0).new(
        3, restarts=4, last_state=b.terminated("Error", exit_code=137, minutes=3), **DOWN
    )
    facts = await facts_of([*app.objects, *cluster()], about(app, annotations={"description": "OOMKilled"}))
    assert rules.choose(facts, registered()).action == "escalate"
    assert rules.contradictions("set_memory_limit", facts)


async def test_one_oom_kill_alone_changes_nothing() -> None:
    app = App(rollout_minutes=8000, ready=2).new(2, minutes_old=8000).new(1, restarts=1, last_state=OOM, **DOWN)
    assert (await decide([*app.objects, *cluster()], about(app, index=2))).action == "escalate"


async def test_memory_is_not_raised_a_third_time() -> None:
    app = g.oom_app()
    past = [
        {
            "at": b.ago(minutes=m),
            "workflow": "w",
            "action": "set_memory_limit",
            "outcome": "Verified",
            "target": {"kind": "Deployment", "namespace": "shop", "name": "checkout"},
        }
        for m in (60, 200)
    ]
    choice = await decide([*app.objects, *cluster()], about(app), history=past)
    assert choice.action == "escalate"
    assert "set_memory_limit" in choice.contradicted


async def test_a_limit_that_would_outgrow_the_node_is_not_raised() -> None:
    app = g.oom_app()
    nodes = cluster()
    for node in nodes:
        if node["kind"] == "Node":
            node["status"]["allocatable"]["memory"] = "150Mi"
    assert (await decide([*app.objects, *nodes], about(app))).action == "escalate"


@pytest.mark.parametrize("text", ["dial tcp 10.0.0.9:443: i/o timeout", "429 toomanyrequests", "401 Unauthorized"])
async def test_a_registry_that_does_not_serve_is_no_bad_rollout(text: str) -> None:
    app = App(containers=[container(image="web:2")], old=[container(image="web:1")])
    app.new(1, ready=False, phase="Pending", state=b.waiting("ImagePullBackOff", text)).old(3)
    assert (await decide([*app.objects, *cluster()], about(app, "KubeContainerWaiting"))).action == "escalate"


async def test_an_image_that_no_rollout_changed_is_not_rolled_back() -> None:
    app = App(rollout_minutes=8000, ready=2).new(2, minutes_old=8000)
    app.new(1, ready=False, phase="Pending", state=b.waiting("ImagePullBackOff", "not found"))
    assert (await decide([*app.objects, *cluster()], about(app, "KubeContainerWaiting", 2))).action == "escalate"


async def test_a_restart_is_no_template_to_roll_back() -> None:
    app = App(old=[container()])
    app.new(1, restarts=5, last_state=b.terminated(), **DOWN).old(3)
    facts = await facts_of([*app.objects, *cluster()], about(app))
    assert facts["template_restart_only"].value is True
    assert rules.choose(facts, registered()).action == "escalate"


async def test_where_the_old_template_fails_too_nothing_is_rolled_back() -> None:
    app = App(containers=[container(image="web:2")], old=[container(image="web:1")], ready=0)
    app.new(1, restarts=5, last_state=b.terminated(), **DOWN).old(3, restarts=9, last_state=b.terminated(), **DOWN)
    choice = await decide([*app.objects, *cluster()], about(app))
    assert choice.action == "escalate"
    assert "rollback_deployment" in choice.contradicted


async def test_a_failure_older_than_the_rollout_is_not_the_rollouts() -> None:
    app = g.bad_command()
    assert (await decide([*app.objects, *cluster()], about(app, minutes=300))).action == "escalate"


async def test_a_completed_rollout_that_took_the_service_down_is_rolled_back() -> None:
    app = App(
        containers=[container(image="web:2")],
        old=[container(image="web:1")],
        ready=0,
        rollout_minutes=20,
        available_since=18,
        progressing="NewReplicaSetAvailable",
    )
    app.new(3, restarts=6, last_state=b.terminated(), **DOWN)
    assert (await decide([*app.objects, *cluster()], about(app))).action == "rollback_deployment"


async def test_a_selector_that_no_rollout_changed_is_not_rolled_back() -> None:
    app = App(rollout_minutes=8000, ready=2, spec={"nodeSelector": {"disktype": "ssd"}}).new(2, minutes_old=8000)
    app.pending("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.")
    assert (await decide([*app.objects, *cluster()], about(app, "KubePodNotReady", 2))).action == "escalate"


async def test_a_full_cluster_is_no_bad_rollout() -> None:
    message = "0/3 nodes are available: 3 Insufficient cpu."
    app = g.pending_app(message, new=container(image="web:2"), old=container(image="web:1"))
    assert (await decide([*app.objects, *cluster()], about(app, "KubePodNotReady"))).action == "escalate"


async def test_scaled_to_zero_without_a_mark_is_asked_about() -> None:
    app = App(replicas=0, ready=0, rollout_minutes=8000)
    rows = [*app.objects, *cluster()]
    assert (
        await decide(rows, alert("KubeDeploymentReplicasMismatch", {"namespace": "shop", "deployment": "checkout"}))
    ).action == "escalate"


async def test_an_alert_about_healthy_replicas_needs_nothing() -> None:
    app = App(rollout_minutes=8000).new(3, minutes_old=8000)
    assert (await decide([*app.objects, *cluster()], about(app))).action == "no_action"


async def test_a_resolved_alert_needs_nothing() -> None:
    app = g.bad_command()
    assert (await decide([*app.objects, *cluster()], about(app) | {"status": "resolved"})).action == "no_action"


@pytest.mark.parametrize("mark", ["akeso.dev/protected", "akeso.dev/paused"])
async def test_an_opt_out_is_heard(mark: str) -> None:
    app = g.bad_command()
    app.deployment["metadata"]["annotations"][mark] = "true"
    facts = await facts_of([*app.objects, *cluster()], about(app))
    assert rules.choose(facts, registered()).action == "escalate"
    assert rules.contradictions("rollback_deployment", facts)


async def test_a_workload_of_an_operator_is_left_to_it() -> None:
    app = g.bad_command()
    app.deployment["metadata"]["ownerReferences"] = [
        {"apiVersion": "shop.example/v1", "kind": "Storefront", "name": "x", "uid": "u", "controller": True}
    ]
    assert (await decide([*app.objects, *cluster()], about(app))).action == "escalate"


def stuck(count: int = 1, nodes: Sequence[Raw] = ()) -> tuple[App, list[Raw]]:
    app = (
        App(ready=3 - count, rollout_minutes=8000)
        .new(3 - count, minutes_old=8000)
        .new(count, ready=False, minutes_old=8000)
    )
    return app, [*app.objects, *(nodes or cluster())]


async def test_one_stuck_pod_among_serving_siblings_is_restarted() -> None:
    app, objects = stuck()
    choice = await decide(objects, about(app, "KubePodNotReady", 2))
    assert choice.action == "restart_pod"
    assert choice.target == f"Pod/shop/{app.pods[2]['metadata']['name']}"


async def test_two_stuck_pods_have_another_cause() -> None:
    app, objects = stuck(2)
    assert (await decide(objects, about(app, "KubePodNotReady", 2))).action == "escalate"


async def test_a_pod_on_a_dead_node_is_not_restarted_for_it() -> None:
    app, objects = stuck(nodes=cluster(down=[1]))
    assert (await decide(objects, about(app, "KubePodNotReady", 2))).action == "escalate"


async def test_memory_that_grows_with_load_is_no_leak() -> None:
    app = App(rollout_minutes=8000, containers=[container(memory="512Mi")]).new(3, minutes_old=8000)
    name = app.pods[0]["metadata"]["name"]
    where = {"namespace": "shop", "pod": name, "container": "app"}
    memory = series("container_memory_working_set_bytes", [(210 + 9 * i) * g.MI for i in range(25)], **where)
    busy = series("container_cpu_usage_seconds_total", [3.0 * i * i for i in range(25)], **where)
    seen = alert("ContainerMemoryNearLimit", {"namespace": "shop", "pod": name})
    assert (await decide([*app.objects, *cluster()], seen, metrics=[memory])).action == "restart_deployment"
    assert (await decide([*app.objects, *cluster()], seen, metrics=[memory, busy])).action == "escalate"


@pytest.mark.parametrize("shape", ["flat", "warming"])
async def test_memory_that_is_high_but_does_not_grow_on_is_no_leak(shape: str) -> None:
    app = App(rollout_minutes=8000, containers=[container(memory="512Mi")]).new(3, minutes_old=8000)
    name = app.pods[0]["metadata"]["name"]
    curve = [400.0 + i % 2 for i in range(25)] if shape == "flat" else [420 - 220 * 0.8**i for i in range(25)]
    memory = series(
        "container_memory_working_set_bytes", [v * g.MI for v in curve], namespace="shop", pod=name, container="app"
    )
    seen = alert("ContainerMemoryNearLimit", {"namespace": "shop", "pod": name})
    assert (await decide([*app.objects, *cluster()], seen, metrics=[memory])).action == "escalate"


async def test_a_node_under_announced_maintenance_is_left_alone() -> None:
    nodes = cluster(down=[1])
    nodes[0]["metadata"]["annotations"]["ops.example/maintenance"] = "kernel upgrade until 13:00"
    assert (await decide(nodes, g.node_alert("n1"))).action == "no_action"


async def test_a_node_that_is_ready_again_needs_nothing() -> None:
    assert (await decide(cluster(), g.node_alert("n1"))).action == "no_action"


async def test_two_nodes_of_four_are_not_cordoned() -> None:
    assert (await decide(cluster(4, down=[1, 2]), g.node_alert("n1"), g.node_alert("n2"))).action == "escalate"


async def test_a_second_node_is_not_cordoned_while_we_hold_one() -> None:
    nodes = cluster(5, down=[1])
    nodes[2]["spec"]["unschedulable"] = True
    nodes[2]["metadata"]["annotations"][CORDONED_BY] = "run-1"
    assert (await decide(nodes, g.node_alert("n1"))).action == "escalate"


@pytest.mark.parametrize(("ours", "action"), [(True, "uncordon_node"), (False, "escalate")])
async def test_only_our_own_cordon_is_taken_back(ours: bool, action: str) -> None:
    nodes = cluster()
    nodes[0]["spec"]["unschedulable"] = True
    if ours:
        nodes[0]["metadata"]["annotations"][CORDONED_BY] = "run-1"
    assert (await decide(nodes, alert("NodeStillCordoned", {"node": "n1"}))).action == action


async def test_pressure_without_one_culprit_evicts_nobody() -> None:
    raw = copy.deepcopy(g.f36())
    for one in raw["series"]:
        one["values"] = [[t, "1000000"] for t, _ in one["values"]]
    facts = extract((await build(raw)).snapshot)
    assert rules.choose(facts, registered()).action == "escalate"


async def test_a_planned_outage_of_a_dependency_is_not_undone() -> None:
    raw = copy.deepcopy(g.f29())
    dns = next(o for o in raw["objects"] if o["metadata"]["name"] == "coredns")
    dns["metadata"]["annotations"]["change-ticket"] = "CHG-1"
    assert rules.choose(extract((await build(raw)).snapshot), registered()).action == "no_action"


async def test_a_crash_whose_component_is_down_is_not_rolled_back() -> None:
    raw = g.f05()
    facts = extract((await build(raw)).snapshot)
    choice = rules.choose(facts, registered())
    assert (choice.action, choice.target) == ("restart_deployment", "Deployment/shop/postgres")
    assert rules.contradictions("restart_deployment", facts), "not on the app that the alert is about"
    assert rules.right("restart_deployment", facts).answer is Answer.NO


async def test_what_failed_twice_is_not_tried_again() -> None:
    app = g.bad_command()
    past = [
        {
            "at": b.ago(minutes=m),
            "workflow": "w",
            "action": "rollback_deployment",
            "outcome": "Failed",
            "target": {"kind": "Deployment", "namespace": "shop", "name": "checkout"},
        }
        for m in (90, 200)
    ]
    assert (await decide([*app.objects, *cluster()], about(app), history=past)).action == "escalate"


async def test_a_remedy_that_is_no_candidate_is_named_and_escalated() -> None:
    choice = rules.choose(extract((await build(g.f01())).snapshot), ["restart_deployment", "set_memory_limit"])
    assert choice.action == "escalate"
    assert "rollback_deployment" in choice.message
    assert set(choice.contradicted) == {"restart_deployment", "set_memory_limit"}


async def test_failures_of_creation_are_not_answered_with_more_pods() -> None:
    app = App(ready=2, rollout_minutes=8000).new(2, minutes_old=8000)
    seen = event(app.current, "FailedCreate", 'pods "x" is forbidden: exceeded quota: compute')
    facts = await facts_of(
        [*app.objects, *cluster()],
        alert("KubeDeploymentReplicasMismatch", {"namespace": "shop", "deployment": "checkout"}),
        events=[seen],
    )
    assert facts["create_failure"].value == "quota"
    assert rules.choose(facts, registered()).action == "escalate"
    assert rules.contradictions("scale_deployment", facts)


def test_an_unknown_fact_neither_fires_nor_contradicts() -> None:
    assert rules.choose({}, registered()).action == "escalate"
    assert rules.contradictions("rollback_deployment", {}) == ()


def test_two_rules_of_one_rank_that_disagree_escalate() -> None:
    values = {
        "node_cordoned": True,
        "node_cordoned_by_us": True,
        "node_ready": True,
        "node_ready_seconds": 900.0,
        "node_pressure": (),
        "subject": "Node/n1",
        "node": "Node/n1",
        "pvc": "x",
        "pvc_used_share": 0.9,
        "pvc_expandable": True,
        "pvc_resizing": False,
    }
    choice = rules.choose({n: Fact(n, v, "test") for n, v in values.items()}, [*registered(), "expand_pvc"])
    assert choice.action == "escalate"
    assert set(choice.rules) == {"UNCORDON", "PVC-EXPAND"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"requires": [{"fact": "no_such_fact", "op": "eq", "value": 1}]}, "unknown fact"),
        ({"requires": [{"fact": "oom_kills", "op": "about", "value": 1}]}, "unknown fact or comparison"),
        ({"requires": []}, "requires nothing"),
        ({"requires": [{"fact": "alert_claims_oom", "op": "eq", "value": True}]}, "internet"),
        ({"requires": [{"fact": "planned_change", "op": "eq", "value": True}]}, "tenants"),
        ({"target": "nowhere"}, "unknown target"),
    ],
)
def test_a_wrong_rule_table_does_not_load(change: dict[str, Any], why: str) -> None:
    actions = copy.deepcopy(read("actions.yaml"))
    next(r for r in actions["rules"] if r["id"] == "MEMORY-LIMIT").update(change)
    with pytest.raises(InvalidInput) as error:
        parse(actions, read("vetoes.yaml"))
    assert why in str(error.value)


def test_no_rule_that_acts_rests_on_the_internet_or_on_tenants_alone() -> None:
    from akeso.decide.facts.catalogue import entry

    for rule in rules.table().rules:
        tiers = [line.tier for c in rule.requires if (line := entry(c.fact)) is not None]
        assert rule.action in ("no_action", "escalate") or (
            min(tiers) <= Tier.CONTROLLER and Tier.INTERNET not in tiers
        )


def test_history_names_its_target_by_key() -> None:
    past = PastAction(b.NOW, "w", "restart_deployment", b.ref_of(b.deployment("web")).key, "Failed")
    facts = extract(b.snapshot(b.deployment("web"), history=[past, past]))
    assert facts["ineffective_actions"].value == ("restart_deployment",)
