"""The cluster that all e2e tests stand on: real nodes, real DNS, a real OOM kill, and nothing left afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from hack.devcluster import cluster as devcluster
from hack.devcluster import controlplane, images, monitoring, procs, register, teardown
from hack.devcluster.paths import state_root
from hack.devcluster.state import Cluster, load

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="native nodes need root"),
]
NAME = f"e2e-cluster-{os.getpid()}"
WEB = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "topologySpreadConstraints": [
                            {
                                "maxSkew": 1,
                                "topologyKey": "kubernetes.io/hostname",
                                "whenUnsatisfiable": "DoNotSchedule",
                                "labelSelector": {"matchLabels": {"app": "web"}},
                            }
                        ],
                        "containers": [
                            {
                                "name": "web",
                                "image": images.BUSYBOX,
                                "command": [
                                    "sh",
                                    "-c",
                                    "hostname | tee /www/index.html; exec httpd -f -p 8080 -h /www",
                                ],
                                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                            }
                        ],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ],
}
RULES = """
groups:
- name: test
  rules:
  - alert: ContainerRestarting
    expr: changes(container_start_time_seconds{container="hog"}[1m]) >= 1
"""


def kubectl(found: Cluster, *arguments: str, stdin: object = None) -> str:
    command = [found.kubectl, "--kubeconfig", str(found.kubeconfig), *arguments]
    text = None if stdin is None else json.dumps(stdin)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def eventually(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Poll until the condition is truthy and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} not true after {seconds} s"
        time.sleep(0.2)
    return value


def hog(name: str, command: str) -> dict[str, object]:
    """A pod that is allowed 20 MiB."""
    container = {"name": "hog", "image": images.BUSYBOX, "command": ["sh", "-c", command]}
    container["resources"] = {"limits": {"memory": "20Mi"}}  # type: ignore[assignment]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Cluster]:
    found = devcluster.up(NAME, 2)
    try:
        if found.kind != "native":
            pytest.skip(f"these are the properties of native clusters; this one is {found.kind}")
        yield found
    finally:
        devcluster.down(NAME)


@pytest.fixture(scope="module")
def web(two_nodes: Cluster) -> list[dict[str, Any]]:
    """The pods of a Deployment with one replica on each node, behind the Service `web`."""
    kubectl(two_nodes, "apply", "-f", "-", stdin=WEB)
    kubectl(two_nodes, "rollout", "status", "deployment/web", "--timeout=80s")
    pods: list[dict[str, Any]] = json.loads(kubectl(two_nodes, "get", "pods", "-l", "app=web", "-o", "json"))["items"]
    return pods


def test_both_nodes_run_the_version_that_go_mod_pins(two_nodes: Cluster) -> None:
    nodes = json.loads(kubectl(two_nodes, "get", "nodes", "-o", "json"))["items"]
    assert [n["metadata"]["name"] for n in nodes] == [f"{NAME}-n1", f"{NAME}-n2"]
    assert {n["status"]["nodeInfo"]["kubeletVersion"] for n in nodes} == {two_nodes.versions["kubernetes"]}
    server = json.loads(kubectl(two_nodes, "version", "-o", "json"))["serverVersion"]["gitVersion"]
    assert server == two_nodes.versions["kubernetes"]


def test_a_pod_reaches_the_pods_of_both_nodes_through_dns_and_a_service(
    two_nodes: Cluster, web: list[dict[str, Any]]
) -> None:
    assert len({pod["spec"]["nodeName"] for pod in web}) == 2
    names = {pod["metadata"]["name"] for pod in web}
    loop = "for i in $(seq 30); do timeout 5 wget -qO- http://web.default.svc.cluster.local/; done"
    answers = kubectl(two_nodes, "exec", web[0]["metadata"]["name"], "--", "sh", "-c", loop).split()
    assert len(answers) == 30
    assert set(answers) == names


def test_the_host_reaches_a_service_by_its_address(two_nodes: Cluster, web: list[dict[str, Any]]) -> None:
    address = kubectl(two_nodes, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        assert answer.read().decode().strip() in {pod["metadata"]["name"] for pod in web}


def test_kubectl_logs_shows_what_a_container_printed(two_nodes: Cluster, web: list[dict[str, Any]]) -> None:
    name = web[1]["metadata"]["name"]
    assert kubectl(two_nodes, "logs", name).strip() == name


def test_a_container_above_its_memory_limit_is_oom_killed(two_nodes: Cluster) -> None:
    kubectl(two_nodes, "apply", "-f", "-", stdin=hog("greedy", "tail /dev/zero"))
    path = "jsonpath={.status.containerStatuses[0]['lastState','state'].terminated.reason}"
    assert "OOMKilled" in eventually(lambda: kubectl(two_nodes, "get", "pod", "greedy", "-o", path))


def test_a_write_appears_once_in_the_audit_log(two_nodes: Cluster) -> None:
    kubectl(two_nodes, "create", "configmap", "counted")
    events = [json.loads(line) for line in two_nodes.audit_log.read_text().splitlines()]
    writes = [e for e in events if e["verb"] == "create" and e.get("objectRef", {}).get("name") == "counted"]
    assert [(e["level"], e["stage"], e["responseStatus"]["code"]) for e in writes] == [
        ("Metadata", "ResponseComplete", 201)
    ]
    assert not any(e["stage"] == "RequestReceived" for e in events)


def test_a_kubelet_may_not_read_secrets_of_pods_it_does_not_run(two_nodes: Cluster) -> None:
    kubectl(two_nodes, "create", "secret", "generic", "foreign", "--from-literal=a=b")
    config = two_nodes.pki / f"{NAME}-n1.kubeconfig"
    command = [two_nodes.kubectl, "--kubeconfig", str(config), "get", "secret", "foreign"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "no relationship found between node" in done.stderr


def test_the_api_server_comes_back_with_its_data_after_a_pause(two_nodes: Cluster) -> None:
    kubectl(two_nodes, "create", "configmap", "before-the-pause")
    controlplane.pause_apiserver(two_nodes)
    with pytest.raises(AssertionError, match="refused"):
        kubectl(two_nodes, "get", "configmaps")
    assert NAME not in devcluster.sweep()  # paused is not crashed
    controlplane.resume_apiserver(two_nodes)
    assert "before-the-pause" in kubectl(two_nodes, "get", "configmaps")


class _Receiver(BaseHTTPRequestHandler):
    """Keeps what Alertmanager posts."""

    received: ClassVar[list[tuple[str | None, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.headers["Authorization"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        return


@pytest.fixture
def receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_restarting_container_becomes_an_alert_at_the_webhook(
    two_nodes: Cluster, receiver: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("sesame")
    monitoring.start(two_nodes, RULES, receiver, token)
    try:
        kubectl(two_nodes, "apply", "-f", "-", stdin=hog("restarting", "sleep 3; tail /dev/zero"))
        authorization, payload = eventually(lambda: next(iter(_Receiver.received), None))
    finally:
        monitoring.stop(two_nodes)
    assert authorization == "Bearer sesame"
    assert payload["version"] == "4"
    labels = payload["alerts"][0]["labels"]
    assert (labels["alertname"], labels["namespace"], labels["pod"]) == ("ContainerRestarting", "default", "restarting")


def test_a_second_cluster_runs_beside_and_its_end_does_not_touch_the_first(two_nodes: Cluster) -> None:
    second = devcluster.up(f"{NAME}-b", 1)
    try:
        assert "default" in kubectl(second, "get", "namespaces")
        assert second.slot != two_nodes.slot
    finally:
        devcluster.down(second.name)
    assert teardown.leftovers(second.names, second.folder) == []
    assert all(procs.alive(record) for record in two_nodes.procs)
    kubectl(two_nodes, "get", "nodes")


def test_sweep_removes_a_cluster_whose_api_server_was_killed() -> None:
    found = devcluster.up(f"{NAME}-wreck", control_plane_only=True)
    procs.kill([found.proc("kube-apiserver").pid])
    assert found.name in devcluster.sweep()
    assert not any(procs.alive(record) for record in found.procs)
    assert not found.folder.exists()


def test_a_recycled_pid_is_not_taken_for_a_recorded_process() -> None:
    record = procs.myself()
    assert procs.alive(record)
    record.start_ticks -= 1
    assert not procs.alive(record)


def test_down_leaves_no_process_mount_namespace_link_or_cgroup(two_nodes: Cluster) -> None:
    """Last in this file on purpose: it ends the cluster of the others."""
    assert devcluster.down(NAME)
    assert not any(procs.alive(record) for record in two_nodes.procs)
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True, timeout=10).stdout
    links = os.listdir("/sys/class/net")  # noqa: PTH208 - names only
    mounts = Path("/proc/mounts").read_text()
    names = two_nodes.names
    assert NAME not in namespaces
    assert names.bridge not in links
    assert names.veth(1) not in links
    assert NAME not in mounts
    assert not list(Path("/sys/fs/cgroup").rglob(f"*{NAME}*"))
    assert NAME not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, timeout=10).stdout
    logs = [str(link.readlink()) for link in Path("/var/log/containers").glob("*")]
    assert not [target for target in logs if f"/{NAME}/" in target]
    assert not names.run_folder.exists()
    assert not (state_root() / NAME).exists()
    assert load(NAME) is None
    assert NAME not in {entry.name for entry in register.entries()}
    assert not devcluster.down(NAME)
