"""Every row of the table under each way in which charts label alerts (alerts.md 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from tests.unit.ingest import shop
from tests.unit.ingest.shop import alert, cluster, make

from akeso.errors import ClusterAway
from akeso.ingest.frozen import FrozenCluster
from akeso.ingest.targets import follow, resolve
from akeso.model.names import Reason
from akeso.model.objects import DEPLOYMENT, Kind, Object, ObjectRef

Labels = Mapping[str, str]
POD = shop.checkout_pod["metadata"]["name"]


def clean(labels: Labels) -> Labels:
    """kube-prometheus: the labels of kube-state-metrics' own pod were dropped."""
    return {**labels, "job": "kube-state-metrics", "instance": "10.0.0.2:8443"} | (
        {} if "container" in labels else {"container": "kube-rbac-proxy-main"}
    )


def stack(labels: Labels) -> Labels:
    """kube-prometheus-stack: honorLabels, and the exporter's own labels wherever the object has none."""
    exporter = {
        "namespace": "monitoring",
        "pod": shop.ksm_pod["metadata"]["name"],
        "container": "kube-state-metrics",
        "service": "kube-state-metrics",
        "endpoint": "http",
        "instance": "10.0.0.2:8080",
        "job": "kube-state-metrics",
    }
    return {**exporter, **labels}


def exported(labels: Labels) -> Labels:
    """No honorLabels: what clashed was renamed."""
    exporter = dict(stack({}))
    return {**exporter, **{(f"exported_{k}" if k in exporter else k): v for k, v in labels.items()}}


def node_exporter(labels: Labels) -> Labels:
    return {
        **labels,
        "namespace": "monitoring",
        "pod": shop.exporter_pod["metadata"]["name"],
        "job": "node-exporter",
        "container": "node-exporter",
    }


def by_name(labels: Labels) -> Labels:
    return node_exporter({**labels, "instance": "node-1"})


def by_address(labels: Labels) -> Labels:
    return node_exporter({**labels, "instance": "10.0.0.1:9100"})


def by_exporter_only(labels: Labels) -> Labels:
    return node_exporter({**labels, "instance": "somewhere:9100"})


STYLES: tuple[Callable[[Labels], Labels], ...] = (clean, stack, exported)
NODE_STYLES = (by_name, by_address, by_exporter_only)

ROWS = [
    *(
        (name, {"namespace": "shop", "pod": POD, "container": "app"}, "Deployment/checkout")
        for name in (
            "KubePodCrashLooping",
            "KubePodNotReady",
            "KubeContainerWaiting",
            "CPUThrottlingHigh",
            "ContainerOOMKilled",
            "KubeContainerOOMKilled",
            "KubePodOOMKilled",
            "PodOOMKilled",
            "KubernetesContainerOomKiller",
        )
    ),
    *(
        (name, {"namespace": "shop", "deployment": "checkout"}, "Deployment/checkout")
        for name in ("KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck", "KubeDeploymentGenerationMismatch")
    ),
    *(
        (name, {"namespace": "shop", "statefulset": "db"}, "StatefulSet/db")
        for name in (
            "KubeStatefulSetReplicasMismatch",
            "KubeStatefulSetGenerationMismatch",
            "KubeStatefulSetUpdateNotRolledOut",
        )
    ),
    *(
        (name, {"namespace": "shop", "daemonset": "agent"}, "DaemonSet/agent")
        for name in ("KubeDaemonSetRolloutStuck", "KubeDaemonSetNotScheduled", "KubeDaemonSetMisScheduled")
    ),
    *(
        (name, {"namespace": "shop", "job_name": "nightly-29012345"}, "Job/nightly-29012345")
        for name in ("KubeJobFailed", "KubeJobNotCompleted", "KubeJobCompletion")
    ),
    *(
        (name, {"namespace": "shop", "horizontalpodautoscaler": "checkout"}, "Deployment/checkout")
        for name in ("KubeHpaMaxedOut", "KubeHpaReplicasMismatch")
    ),
    *(
        (name, {"namespace": "shop", "persistentvolumeclaim": "cart"}, "PersistentVolumeClaim/cart")
        for name in ("KubePersistentVolumeFillingUp", "KubePersistentVolumeInodesFillingUp")
    ),
    *(
        (name, {"node": "node-1"}, "Node/node-1")
        for name in (
            "KubeNodeNotReady",
            "KubeNodeUnreachable",
            "KubeNodePressure",
            "KubeNodeReadinessFlapping",
            "KubeNodeEviction",
            "KubeletTooManyPods",
            "KubeletPlegDurationHigh",
        )
    ),
    ("AnythingElse", {"namespace": "shop", "deployment": "checkout"}, "Deployment/checkout"),
    ("AnythingElse", {"namespace": "shop", "pod": "db-0", "container": "db"}, "StatefulSet/db"),
    ("AnythingElse", {"namespace": "shop", "poddisruptionbudget": "checkout"}, "PodDisruptionBudget/checkout"),
]


@pytest.mark.parametrize("style", STYLES, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("name", "labels", "target"), ROWS, ids=lambda v: v if isinstance(v, str) else "")
async def test_each_alert_finds_its_object_however_it_is_labelled(
    name: str,
    labels: Labels,
    target: str,
    style: Callable[[Labels], Labels],
) -> None:
    found = await resolve(alert(name, **style(labels)), cluster())
    assert str(found.target) == target, found.message


@pytest.mark.parametrize("style", NODE_STYLES, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "name",
    [
        "NodeFilesystemSpaceFillingUp",
        "NodeFilesystemAlmostOutOfSpace",
        "NodeMemoryHighUtilization",
        "NodeCPUHighUsage",
        "NodeClockNotSynchronising",
        "NodeDiskIOSaturation",
        "NodeNetworkReceiveErrs",
        "NodeRAIDDegraded",
    ],
)
async def test_a_node_alert_finds_the_node_and_never_the_exporters_pod(
    name: str,
    style: Callable[[Labels], Labels],
) -> None:
    found = await resolve(alert(name, **style({"device": "sda1"})), cluster())
    assert str(found.target) == "Node/node-1", found.message


async def test_the_chain_goes_from_the_pod_to_the_deployment_with_uids() -> None:
    found = await resolve(alert("KubePodCrashLooping", namespace="shop", pod=POD), cluster())
    assert [str(r) for r in found.chain] == [f"Pod/{POD}", "ReplicaSet/checkout-5d8f7c9b4", "Deployment/checkout"]
    assert all(ref.uid for ref in found.chain)
    assert [o["kind"] for o in found.objects] == ["Pod", "ReplicaSet", "Deployment"]


async def test_the_chain_of_an_autoscaler_begins_with_it() -> None:
    found = await resolve(alert("KubeHpaMaxedOut", namespace="shop", horizontalpodautoscaler="checkout"), cluster())
    assert [r.kind.kind for r in found.chain] == ["HorizontalPodAutoscaler", "Deployment"]


async def test_a_namesake_of_the_owner_is_not_the_owner() -> None:
    recreated = {**shop.checkout, "metadata": {**shop.checkout["metadata"], "uid": "another"}}
    found = await resolve(
        alert("KubePodCrashLooping", namespace="shop", pod=POD), cluster(recreated, without=(shop.checkout,))
    )
    assert str(found.target) == "ReplicaSet/checkout-5d8f7c9b4"
    assert "namesake" in found.message


async def test_owners_that_form_a_cycle_end() -> None:
    a = make(
        "ReplicaSet",
        "a",
        owner={"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "b", "uid": "uid-Deployment-b"}},
    )
    b = make("Deployment", "b", owner=a)
    pod = make("Pod", "p", owner=a)
    found = await resolve(alert("KubePodCrashLooping", namespace="shop", pod="p"), cluster(a, b, pod))
    assert "cycle" in found.message


async def test_a_workload_of_a_custom_resource_says_who_manages_it() -> None:
    prometheus = make("Prometheus", "k8s")
    managed = {**make("StatefulSet", "prom", owner=prometheus)}
    found = await resolve(
        alert("KubeStatefulSetReplicasMismatch", namespace="shop", statefulset="prom"), cluster(managed)
    )
    assert str(found.target) == "StatefulSet/prom"
    assert found.managed_by == "Prometheus/k8s (monitoring.coreos.com/v1)"


async def test_a_static_pod_is_its_own_target() -> None:
    pod = make("Pod", "etcd-node-1", owner=shop.nodes[0])
    found = await resolve(alert("KubePodNotReady", namespace="shop", pod="etcd-node-1"), cluster(pod))
    assert str(found.target) == "Pod/etcd-node-1"
    assert found.managed_by == ""


@pytest.mark.parametrize(
    ("pod", "without", "target"),
    [
        ("checkout-5d8f7c9b4-zz4zz", (), "Deployment/checkout"),  # its ReplicaSet is there
        ("checkout-7f6d5c4b8-zz4zz", (), "Deployment/checkout"),  # a revision that was pruned
        ("db-1", (), "StatefulSet/db"),
        ("db-7", (), None),  # beyond its replicas
        ("agent-x7k2p", (), "DaemonSet/agent"),
        ("nightly-29012345-x7k2p", (), "Job/nightly-29012345"),
        ("checkout-7f6d5c4b8-zz4zz", (shop.checkout_rs,), None),  # the Deployment made none of those
        ("checkout-5d8f7c9b4-aeiou", (), None),  # no suffix that Kubernetes makes
        ("unknown-5d8f7c9b4-zz4zz", (), None),
    ],
)
async def test_a_pod_that_is_gone_leads_to_its_workload_only_if_the_api_server_confirms_it(
    pod: str,
    without: tuple[Object, ...],
    target: str | None,
) -> None:
    found = await resolve(alert("KubePodCrashLooping", namespace="shop", pod=pod), cluster(without=without))
    assert (None if found.target is None else str(found.target)) == target, found.message
    assert "is gone" in found.message


async def test_a_gone_pod_that_two_controllers_could_have_made_has_no_target() -> None:
    found = await resolve(
        alert("KubePodCrashLooping", namespace="shop", pod="agent-x7k2p"), cluster(make("Job", "agent"))
    )
    assert found.target is None
    assert "several" in found.message


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"namespace": "shop"},
        {"namespace": "shop", "pod": "nothing"},
        {"pod": POD},
        {"namespace": "other", "pod": POD},
        {"namespace": "../../api/v1/secrets", "pod": "x"},
        {"namespace": "shop", "pod": "../services/x"},
        {"namespace": "shop", "pod": "x" * 5000},
        {"namespace": "shop", "pod": "a b\n"},
        {"job": "checkout", "namespace": "shop"},
    ],
)
async def test_labels_that_point_to_nothing_are_a_reason_and_no_error(labels: dict[str, str]) -> None:
    for name in ("KubePodCrashLooping", "AnythingElse"):
        found = await resolve(alert(name, **labels), cluster())
        assert found.target is None
        assert found.reason == Reason.TARGET_NOT_FOUND
        assert 0 < len(found.message) <= 2000


async def test_what_cannot_be_a_name_never_reaches_the_api_server() -> None:
    asked: list[tuple[str, str]] = []

    class Spy(FrozenCluster):
        async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
            asked.append((namespace, name))
            return await super().get(kind, namespace, name)

    await resolve(alert("KubePodCrashLooping", namespace="shop", pod="../secrets/x"), Spy([]))
    await resolve(alert("KubeNodeNotReady", node="a/../b"), Spy([]))
    assert all("/" not in part for pair in asked for part in pair)


async def test_the_exporters_pod_is_never_the_target_of_an_unknown_alert() -> None:
    found = await resolve(alert("AnythingElse", **stack({})), cluster())
    assert found.target is None
    assert "exporter" in found.message


async def test_two_nodes_that_claim_one_address_are_no_target() -> None:
    twin = make("Node", "node-3", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]})
    found = await resolve(alert("NodeCPUHighUsage", instance="10.0.0.1:9100"), cluster(twin))
    assert found.target is None


async def test_an_ipv6_instance_finds_its_node() -> None:
    node = make("Node", "node-6", status={"addresses": [{"type": "InternalIP", "address": "fd00::6"}]})
    found = await resolve(alert("NodeCPUHighUsage", instance="[fd00:0::6]:9100"), cluster(node))
    assert str(found.target) == "Node/node-6"


async def test_a_container_metric_of_the_kubelet_is_about_the_pod_and_not_its_node() -> None:
    labels = {"namespace": "shop", "pod": "db-0", "container": "db", "node": "node-2", "job": "kubelet"}
    assert str((await resolve(alert("MyMemoryAlert", **labels), cluster())).target) == "StatefulSet/db"


async def test_a_known_object_is_followed_again_and_a_namesake_is_refused() -> None:
    found = await follow(ObjectRef(DEPLOYMENT, "shop", "checkout", "uid-Deployment-checkout"), cluster())
    assert str(found.target) == "Deployment/checkout"
    assert (await follow(ObjectRef(DEPLOYMENT, "shop", "checkout", "old"), cluster())).target is None
    assert (await follow(ObjectRef(DEPLOYMENT, "shop", "gone"), cluster())).target is None


async def test_a_cluster_that_is_away_is_not_a_missing_target() -> None:
    class Away(FrozenCluster):
        async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
            raise ClusterAway()

    with pytest.raises(ClusterAway):
        await resolve(alert("KubePodCrashLooping", namespace="shop", pod=POD), Away([]))
