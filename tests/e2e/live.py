"""One tenant on real nodes: its Deployments that can be hurt, what the cluster shows of them, and what Akeso did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from hack.devcluster import cluster as clusters
from hack.devcluster.network import inside
from hack.devcluster.state import Cluster
from psycopg import sql
from tests.e2e.scene import Scene, condition, told
from tests.e2e.staging import ACCOUNT, OPERATOR, Alertmanager, until

IMAGE = "docker.io/library/busybox:akeso"
REGISTRY = "127.0.0.1:5999"  # in the node's own network namespace; containerd takes loopback registries without TLS
SERVE = "echo ok > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
REPLICAS = {"trio": 3, "pair": 2}


@dataclass(slots=True)
class Receiver:
    """A real HTTP server that hears notifications as (idempotency key, body); the first `failing` ones get a 503."""

    failing: int = 1
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.heard.append((self.headers["Idempotency-Key"], body))
                self.send_response(503 if len(receiver.heard) <= receiver.failing else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


@dataclass(frozen=True, slots=True)
class Live:
    """The tenant's namespace. `here` is the node on which everything runs, `there` the one that is hurt."""

    scene: Scene
    database: str
    receiver: Receiver
    here: str
    there: str
    started: str  # RFC 3339: nodes outlive a module, so writes before it are another one's

    def writes(self, resource: str, name: str) -> list[dict[str, Any]]:
        """Accepted writes on it that Akeso made since the module began, by the API server's audit log."""
        namespace = "" if resource == "nodes" else self.scene.namespace
        return [w for w in self.scene.stage.audit.writes(namespace, resource, name) if w["at"] >= self.started]

    @property
    def cluster(self) -> Cluster:
        return self.scene.stage.cluster

    def deployment(self, name: str) -> dict[str, Any]:
        return dict(self.scene.stage.kubectl.get("deployment", name, "-n", self.scene.namespace))

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Its pods that are not on their way out."""
        found = self.scene.stage.kubectl.get("pods", "-n", self.scene.namespace, "-l", f"app={name}")["items"]
        return [p for p in found if "deletionTimestamp" not in p["metadata"]]

    def change(self, name: str, **pod: Any) -> dict[str, Any]:
        """Roll out a change of its template's container or pod spec; the Deployment as it was before."""
        before = self.deployment(name)
        self.scene.apply(app(name, self.here, **pod))
        return before

    def fire(self, alertname: str, **labels: str) -> Alertmanager:
        """Delivered: committed and acknowledged. `labels` name the object as the exporter's metric does."""
        made = Alertmanager(self.scene.operator, {
            "alertname": alertname, "namespace": self.scene.namespace, "severity": "warning", **labels})
        made.deliver("firing")
        return made

    def healed(
        self, alert: Alertmanager, name: str, resource: str = "deployments", verb: str = "patch", patience: float = 60,
    ) -> dict[str, Any]:
        """The run, after exactly one write as the tenant's ServiceAccount, resolved after it, and verified."""
        self.written(alert, resource, name)
        alert.deliver("resolved")
        run = self.scene.ended(alert, patience)
        assert run["status"]["phase"] == "Succeeded", told(run)
        written = self.writes(resource, name)
        assert [(w["verb"], w["as"]) for w in written] == [(verb, self.account)], written
        return run

    def written(self, alert: Alertmanager, resource: str, name: str, writes: int = 1) -> None:
        """Until the API server accepted so many. Raises AssertionError with the run's story where it ends before."""
        def look() -> bool:
            run = self.scene.run_of(alert) or {}
            assert condition(run, "Succeeded").get("status") != "False", told(run)
            return len(self.writes(resource, name)) >= writes
        until(f"{writes} writes on {resource}/{name}", look, 40, every=0.2)

    @property
    def account(self) -> str:
        return f"system:serviceaccount:{self.scene.namespace}:{ACCOUNT}"

    def described(self, kind: str, name: str, run: Mapping[str, Any], *reasons: str) -> None:
        """`kubectl describe` of it shows these Events of that run."""
        def look() -> bool:
            text = self.scene.kubectl("describe", kind, name)
            lines = [line for line in text.splitlines() if run["metadata"]["name"] in line]
            return all(any(reason in line for line in lines) for reason in reasons)
        until(f"{reasons} in kubectl describe {kind} {name}", look, 15, every=0.3)


def app(name: str, node: str, *, command: str = SERVE, memory: str = "64Mi", port: int = 8080, env: str = "",
        **more: Any) -> dict[str, Any]:
    """A web server that is ready while its page is there. `more`: fields of the container, or of the pod spec."""
    requests = {"memory": "8Mi", "cpu": more.pop("cpu", "5m")}
    container = {
        "name": "app", "image": more.pop("image", IMAGE), "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
        "env": [{"name": "DATABASE_PASSWORD", "value": env}] if env else [],
        "resources": {"requests": requests, "limits": {"memory": memory}},
        "readinessProbe": {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1, "failureThreshold": 1}}
    labels = {"app": name}
    pod = {"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [container],
           "nodeSelector": {"kubernetes.io/hostname": node}, **more}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": {
        "replicas": REPLICAS.get(name, 1), "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod}}}


@contextmanager
def stopped_kubelet(cluster: Cluster, node: str) -> Iterator[None]:
    """Its process is stopped, by its recorded pid, and goes on afterwards: a node that hangs and says no goodbye."""
    pid = cluster.proc(f"kubelet-{node}").pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def hang(live: Live, pod: Mapping[str, Any]) -> None:
    """Its page goes away, so it is no longer ready, and nothing restarts it."""
    name = pod["metadata"]["name"]
    live.scene.kubectl("exec", name, "--", "rm", "/tmp/index.html")
    kubectl, namespace = live.scene.stage.kubectl, live.scene.namespace
    until(f"{name} not ready", lambda: not ready(kubectl.get("pod", name, "-n", namespace)), 20)


def ready(obj: Mapping[str, Any]) -> bool:
    return condition(obj, "Ready").get("status") == "True"


def waiting(pods: Sequence[Mapping[str, Any]]) -> set[str]:
    """Reasons for which their containers wait."""
    statuses = [s for p in pods for s in p.get("status", {}).get("containerStatuses", [])]
    return {s["state"]["waiting"]["reason"] for s in statuses if "waiting" in s.get("state", {})}


def rolled_back(live: Live, name: str, before: Mapping[str, Any], alertname: str, because: str = "") -> None:
    """After that alert the template is the old one again, to the letter; one write; the Events tell it."""
    run = live.healed(live.fire(alertname, deployment=name), name)
    after = live.deployment(name)
    assert after["spec"] == before["spec"]
    assert after["status"]["readyReplicas"] == 1
    assert because in told(run)
    live.described("deployment", name, run, "ActionApplied", "VerifiedHealthy")


def evictions(live: Live, pod: str) -> list[int]:
    """Answers of the API server to Akeso's evictions of that pod, dry runs included, oldest first."""
    lines = live.cluster.audit_log.read_text().splitlines()
    events = [json.loads(line) for line in lines if pod in line and OPERATOR in line]
    refs = [(e.get("objectRef") or {}, e.get("responseStatus", {}).get("code", 0)) for e in events]
    return [code for ref, code in refs if ref.get("subresource") == "eviction" and ref.get("name") == pod]


def unschedulable(live: Live, name: str) -> bool:
    return any(condition(p, "PodScheduled").get("reason") == "Unschedulable" for p in live.pods(name))


def killed(live: Live, name: str) -> bool:
    statuses = [s for p in live.pods(name) for s in p.get("status", {}).get("containerStatuses", [])]
    return any(s.get(state, {}).get("terminated", {}).get("reason") == "OOMKilled" for s in statuses
               for state in ("state", "lastState"))


def everything_kept(live: Live, run: str) -> str:
    """All that the database says of that run, as text."""
    with psycopg.connect(live.database) as connection:
        query = sql.SQL("select t::text from {} t join run r on r.id = t.run_id where r.name = %s")
        rows = [connection.execute(query.format(sql.Identifier(table)), [run]).fetchall()
                for table in ("evidence", "step", "intent", "story")]
    return "\n".join(str(row[0]).replace('\\"', '"') for found in rows for row in found)


@contextmanager
def registry_without_images(live: Live) -> Iterator[None]:
    """A registry in the node's network namespace that knows no image, as it is with a mistyped tag."""
    code = "\n".join((
        "import http.server as h", "class R(h.BaseHTTPRequestHandler):", " def do_GET(s):", "  s.send_response(404)",
        "  s.end_headers()", " do_HEAD = do_GET", "h.ThreadingHTTPServer(('127.0.0.1', 5999), R).serve_forever()"))
    node = clusters.node(live.cluster, live.here)
    process = subprocess.Popen([*inside(node.netns), sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait(10)
