"""Raw objects for tests on a real API server, and applying manifests without kubectl."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from akeso.errors import Conflict
from akeso.kube.client import Connection
from akeso.model.objects import Kind, Object

_RBAC = "rbac.authorization.k8s.io"
_PLURALS = {
    "ServiceAccount": Kind("", "v1", "ServiceAccount", "serviceaccounts"),
    "Role": Kind(_RBAC, "v1", "Role", "roles"),
    "RoleBinding": Kind(_RBAC, "v1", "RoleBinding", "rolebindings"),
    "ClusterRole": Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
    "ClusterRoleBinding": Kind(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
}


def path_of(kind: Kind, namespace: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"


async def create(admin: Connection, kind: Kind, namespace: str, body: Mapping[str, Any]) -> Object:
    return await admin.request(
        "POST", path_of(kind, namespace), body={"apiVersion": kind.api_version, "kind": kind.kind, **body})


async def apply_rbac(admin: Connection, manifests: Iterable[Mapping[str, Any]]) -> None:
    for manifest in manifests:
        kind = _PLURALS[manifest["kind"]]
        try:
            await create(admin, kind, manifest["metadata"].get("namespace", ""), manifest)
        except Conflict:
            continue  # a ServiceAccount that is there already


def deployment(name: str, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """No replicas, so that no pods come and go while a test counts writes."""
    return {
        "metadata": {"name": name, **({"annotations": dict(annotations)} if annotations else {})},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [
                    {"name": "app", "image": "app:1", "env": [{"name": "KEY", "value": "hunter2"}]}]},
            }, **spec,
        },
    }


def pod(name: str) -> dict[str, Any]:
    """Never scheduled: it stays Pending and can be evicted and deleted."""
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0, "nodeSelector": {"none": "none"},
            "containers": [{"name": "app", "image": "app:1"}],
        },
    }


async def kubeconfig_of(admin: Connection, admin_file: Path, namespace: str, account: str, file: Path) -> Path:
    """A kubeconfig with a token of that ServiceAccount."""
    answer = await admin.request(
        "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}})
    config = yaml.safe_load(admin_file.read_text())  # noqa: ASYNC240 a small local file of a test
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
    file.write_text(yaml.safe_dump(config))  # noqa: ASYNC240 as above
    return file


def through(admin_file: Path, port: int, file: Path) -> Path:
    """The same kubeconfig by way of a proxy on 127.0.0.1; the certificate is still checked against the real host."""
    config = yaml.safe_load(admin_file.read_text())
    entry = config["clusters"][0]["cluster"]
    host = entry["server"].split("://")[1].rsplit(":", 1)[0]
    entry |= {"server": f"https://127.0.0.1:{port}", "tls-server-name": host}
    file.write_text(yaml.safe_dump(config))
    return file


def server_of(admin_file: Path) -> tuple[str, int]:
    config = yaml.safe_load(admin_file.read_text())
    host, port = config["clusters"][0]["cluster"]["server"].split("://")[1].rsplit(":", 1)
    return host, int(port)


