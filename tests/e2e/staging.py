"""What the e2e tests stand on: a cluster with Akeso installed, operators as real processes, alerts, the audit log."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from hack.devcluster import cluster as clusters
from hack.devcluster.state import Cluster, load
from hack.rig.install import install, operator_kubeconfig, tenant_rights
from hack.rig.kubectl import Kubectl, KubectlError
from hack.rig.operator import Operator

ACCOUNT = "akeso-remediator"
OPERATOR = "system:serviceaccount:akeso-system:akeso"
READ_ONLY = ("get", "list", "watch")
CUT_OFF = 504
_Found = TypeVar("_Found")


def until(what: str, condition: Callable[[], _Found | None], patience: float = 60.0, every: float = 0.05) -> _Found:
    """Poll until it is true, and return what it returned. Raises AssertionError that says what was waited for."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain for {what}")
        time.sleep(every)


@dataclass(slots=True)
class AuditLog:
    """The API server's own record of every request, read as it grows.

    A request whose client died over it is recorded with 504, whether it was carried out or not.
    """

    path: Path
    _offset: int = 0
    _seen: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def writes(self, namespace: str, resource: str, name: str = "") -> list[dict[str, Any]]:
        """Accepted, lasting writes on such objects that came in through the operator's account, oldest first.

        Dry runs and refused requests are none. Each: at, verb, name, subresource, code and `as`, the impersonated user.
        """
        return [w for w in self._requests(namespace, resource, name) if w["code"] < 300]

    def cut_off(self, namespace: str, resource: str, name: str = "") -> list[dict[str, Any]]:
        """The same for writes of which the log cannot tell whether they were carried out."""
        return [w for w in self._requests(namespace, resource, name) if w["code"] == CUT_OFF]

    def _requests(self, namespace: str, resource: str, name: str) -> list[dict[str, Any]]:
        with self._lock:
            self._read_on()
            return [w for w in self._seen.get((namespace, resource), ()) if name in ("", w["name"])]

    def _read_on(self) -> None:
        with self.path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return  # the API server is still writing it
                self._offset += len(line)
                if OPERATOR.encode() in line:
                    self._keep(json.loads(line))

    def _keep(self, event: Mapping[str, Any]) -> None:
        ref = event.get("objectRef") or {}
        if event["user"]["username"] != OPERATOR or event["verb"] in READ_ONLY or "dryRun" in event["requestURI"]:
            return
        if event["stage"] != "ResponseComplete":
            return
        self._seen.setdefault((ref.get("namespace", ""), ref.get("resource", "")), []).append({
            "at": event["stageTimestamp"], "verb": event["verb"], "name": ref.get("name", ""),
            "subresource": ref.get("subresource", ""), "code": event.get("responseStatus", {}).get("code", 500),
            "as": (event.get("impersonatedUser") or {}).get("username", "")})


@dataclass(frozen=True, slots=True)
class Stage:
    """A cluster with Akeso installed, and the kubeconfig of the operator's own ServiceAccount."""

    cluster: Cluster
    kubectl: Kubectl
    operator_kubeconfig: Path
    audit: AuditLog

    def operator(self, folder: Path, **settings: str) -> Operator:
        """An operator that is not started yet. `settings` are AKESO_ variables without the prefix."""
        return Operator(folder, self.operator_kubeconfig, settings={k.upper(): v for k, v in settings.items()})

    def tenant(self, *actions: str) -> str:
        """A fresh namespace that opted in, whose ServiceAccount may do these actions. Its name."""
        name = f"e2e-{uuid.uuid4().hex[:8]}"
        self.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "labels": {"akeso.dev/managed": "true"}}}))
        tenant_rights(self.kubectl, name, ACCOUNT, *actions)
        return name

    def runs(self, namespace: str) -> list[dict[str, Any]]:
        """The WorkflowRuns there."""
        return list(self.kubectl.get("akrun", "-n", namespace)["items"])


def succeeded(run: Mapping[str, Any]) -> str:
    """The status of the run's condition Succeeded: True, False, or Unknown while it goes on."""
    conditions = {c["type"]: c["status"] for c in run.get("status", {}).get("conditions", [])}
    return str(conditions.get("Succeeded", "Unknown"))


@contextmanager
def staged(cluster: Cluster, folder: Path) -> Iterator[Stage]:
    """Akeso installed into that cluster."""
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig)
    install(kubectl)
    yield Stage(cluster, kubectl, operator_kubeconfig(kubectl, folder), AuditLog(cluster.audit_log))


@contextmanager
def control_plane(name: str) -> Iterator[Cluster]:
    """A control plane of one's own: etcd, API server and controllers, which may be hurt; no nodes."""
    try:
        yield clusters.up(name, control_plane_only=True)
    finally:
        clusters.down(name)


def audited(name: str) -> Cluster | None:
    """The cluster of that name where its API server's audit log can be read here: native ones and control planes."""
    found = load(name) if name else None
    return found if found is not None and found.kind in ("native", "control-plane") else None


@dataclass(slots=True)
class Alertmanager:
    """Delivers an alert as Alertmanager does: again and again until a 2xx, and the resolution likewise.

    `acknowledged` counts the 2xx answers by status.
    """

    operator: Operator
    labels: Mapping[str, str]
    source: str = "http://alertmanager.e2e:9093"
    acknowledged: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    starts_at: str = ""

    def __post_init__(self) -> None:
        self.starts_at = self.starts_at or datetime.now(UTC).isoformat()

    @property
    def fingerprint(self) -> str:
        return uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(sorted(self.labels.items()))).hex[:16]

    def payload(self, status: str) -> dict[str, Any]:
        ends = datetime.now(UTC).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z"
        return {
            "version": "4", "groupKey": f"{{}}:{{alertname=\"{self.labels['alertname']}\"}}", "truncatedAlerts": 0,
            "status": status, "receiver": "akeso", "externalURL": self.source, "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "alerts": [{
                "status": status, "labels": dict(self.labels), "annotations": {}, "startsAt": self.starts_at,
                "endsAt": ends, "generatorURL": "", "fingerprint": self.fingerprint}]}

    def deliver(self, status: str, patience: float = 60.0) -> None:
        """Until a 2xx. Raises AssertionError where none came, or where the operator said 4xx."""
        until(f"an acknowledgement of {status} {dict(self.labels)}", lambda: self._post(status), patience, every=0.1)

    def _post(self, status: str) -> bool:
        self.attempts += 1
        try:
            code, body = self.operator.post(self.payload(status))
        except OSError:  # refused or cut: the operator is dead, or dies over it
            return False
        assert code < 400 or code >= 500, f"the alert was refused: {code} {body}"
        if code < 300:
            self.acknowledged[status] = self.acknowledged.get(status, 0) + 1
        return code < 300


def remove_namespace(kubectl: Kubectl, name: str) -> None:
    """Begin to remove it; nobody waits."""
    with suppress(KubectlError):  # the cluster may be gone before it
        kubectl("delete", "namespace", name, "--wait=false")
