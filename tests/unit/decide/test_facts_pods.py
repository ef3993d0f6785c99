"""Facts about pods, revisions and scheduling: what is claimed, from where, and what is left unsaid."""

from __future__ import annotations

import pytest

from akeso.decide.facts.extract import extract
from akeso.decide.facts.pods import missing_refs, pull_failure
from akeso.decide.facts.rollout import config_refs, template_changes
from akeso.decide.facts.scheduling import reasons_in, selected, tolerated
from akeso.model.evidence import Tier
from akeso.model.objects import DEPLOYMENT, ObjectRef
from akeso.testing import builders as b


def web(**how: object) -> list[b.Raw]:
    deployment = b.deployment(replicas=1)
    current = b.replicaset(deployment)
    return [deployment, current, b.pod(current, **how)]  # type: ignore[arg-type]


def test_a_target_that_is_not_there_has_no_facts_about_it() -> None:
    facts = extract(b.snapshot(alerts=[b.alert()], target=ObjectRef(DEPLOYMENT, "shop", "gone")))
    assert "subject" not in facts
    assert facts["alert_name"].value == "KubePodCrashLooping"


def test_a_namesake_with_another_uid_is_another_object() -> None:
    objects = web()
    facts = extract(b.snapshot(*objects, target=ObjectRef(DEPLOYMENT, "shop", "web", "somebody-else")))
    assert "subject" not in facts


def test_a_termination_carries_its_code_reason_and_source() -> None:
    facts = extract(
        b.snapshot(*web(ready=False, restarts=3, state=b.waiting(), last_state=b.terminated("Error", exit_code=2)))
    )
    assert facts["crash_exit_code"].value == 2
    assert facts["crash_reason"].value == "Error"
    assert facts["crash_exit_code"].tier is Tier.API_SERVER
    assert "lastState" in facts["crash_exit_code"].source or "containerStatuses" in facts["crash_exit_code"].source
    assert facts["oom_kills"].value == 0


@pytest.mark.parametrize(("minutes", "kills"), [(1, 1), (59, 1), (61, 0)])
def test_an_oom_kill_counts_within_the_hour(minutes: float, kills: int) -> None:
    last = b.terminated("OOMKilled", exit_code=137, minutes=minutes)
    facts = extract(b.snapshot(*web(ready=False, restarts=3, state=b.waiting(), last_state=last)))
    assert facts["oom_kills"].value == kills


def test_without_replicasets_nothing_is_said_about_templates() -> None:
    facts = extract(b.snapshot(b.deployment()))
    for name in ("oom_kills", "only_new_revision_fails", "rollout_age_seconds", "previous_revision_exists"):
        assert name not in facts or name == "previous_revision_exists"


def test_a_pod_that_is_being_deleted_does_not_count() -> None:
    facts = extract(b.snapshot(*web(ready=False, terminating=True)))
    assert "pods_failing" not in facts


def test_an_autoscaler_stands_for_what_it_scales() -> None:
    objects = web()
    hpa = b.hpa(objects[0])
    facts = extract(b.snapshot(hpa, *objects, target=b.ref_of(hpa)))
    assert facts["subject"].value == "Deployment/shop/web"
    assert facts["hpa_present"].value is True


def test_kinds_that_could_not_be_read_are_unknown_not_absent() -> None:
    objects = web()
    assert extract(b.snapshot(*objects))["hpa_present"].value is False
    assert "hpa_present" not in extract(b.snapshot(*objects, missing={"horizontalpodautoscalers": "forbidden"}))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("failed to resolve reference: not found", "not_found"),
        ("manifest unknown", "not_found"),
        ("pull access denied, repository does not exist or may require authorization", "not_found"),
        ("401 Unauthorized", "auth"),
        ("dial tcp: i/o timeout", "unreachable"),
        ("lookup r: no such host", "unreachable"),
        ("toomanyrequests: rate limit", "unreachable"),
        ("", "unknown"),
        ("???", "unknown"),
    ],
)
def test_the_registrys_words_are_sorted(text: str, kind: str) -> None:
    assert pull_failure(text) == kind


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('secret "db" not found', ["db"]),
        ('configmap "app-config" not found', ["app-config"]),
        ("couldn't find key pw in Secret shop/db", ["db"]),
        ("something else", []),
    ],
)
def test_the_kubelet_names_what_is_missing(text: str, names: list[str]) -> None:
    assert missing_refs(text) == names


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", ("cpu",)),
        (
            "0/3 nodes are available: 1 had taint that the pod didn't tolerate, 2 Insufficient memory. preemption: cpu",
            ("memory", "taint"),
        ),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", ("selector",)),
        ("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.", ("anti_affinity",)),
        ("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.", ("volume",)),
        ("0/2 nodes are available: 2 something new.", ("other",)),
        ("", ()),
    ],
)
def test_the_scheduler_is_read_without_its_preemption_remark(text: str, reasons: tuple[str, ...]) -> None:
    assert reasons_in(text) == reasons


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd"]}, True),
        ({"key": "disk", "operator": "In", "values": ["hdd"]}, False),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "gpu", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "DoesNotExist"}, True),
        ({"key": "cores", "operator": "Gt", "values": ["99"]}, True),
    ],
)
def test_node_affinity_is_checked_against_the_node(expression: dict[str, object], fits: bool) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    pod = {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}}
    assert selected(pod, b.node(labels={"disk": "ssd"})) is fits


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "value": "1"}, True),
        ({"key": "a", "value": "2"}, False),
        ({"key": "a", "value": "1", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations_match_taints(toleration: dict[str, str], fits: bool) -> None:
    assert (
        tolerated({"spec": {"tolerations": [toleration]}}, {"key": "a", "value": "1", "effect": "NoSchedule"}) is fits
    )


def test_template_changes_are_named_and_annotations_are_none() -> None:
    old = b.template("web", [b.container(image="web:1")])
    new = b.template(
        "web", [b.container(image="web:2", limits={"memory": "1Gi"})], annotations={"restartedAt": "now"}
    )
    assert template_changes(old, new) == ["image", "resources"]
    assert template_changes(old, b.template("web", [b.container(image="web:1")], annotations={"x": "y"})) == []


def test_config_refs_are_found_wherever_a_template_takes_values_from() -> None:
    template = b.template("web")
    template["spec"]["containers"][0] |= {
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "envFrom": [{"configMapRef": {"name": "c"}}],
    }
    template["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "t"}}, {"name": "w", "emptyDir": {}}]
    assert config_refs(template) == {("Secret", "s", "k"), ("ConfigMap", "c", ""), ("Secret", "t", "")}
