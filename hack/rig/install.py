"""Installs Akeso's resources into a cluster and gives the operator an identity of its own: its ServiceAccount."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .kubectl import Kubectl

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "akeso-system"
ACCOUNT = "akeso"


def install(kubectl: Kubectl) -> None:
    """CRDs, the approval policy and the operator's RBAC, as README says."""
    kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=akeso", "--timeout=30s")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl.apply(json.dumps(namespace))
    for name in ("operator-rbac.yaml", "approval-policy.yaml"):
        kubectl("apply", "-f", str(ROOT / "manifests/base" / name))


def installed(kubectl: Kubectl) -> bool:
    """True where the cluster has Akeso's custom resources already: then they are somebody's."""
    return bool(kubectl("get", "crd", "workflowruns.akeso.dev", "--ignore-not-found", "-o", "name").strip())


def uninstall(kubectl: Kubectl) -> None:
    """What `install` made, and the objects of our kinds with it."""
    kubectl("delete", "-k", str(ROOT / "crds"), "--ignore-not-found", "--timeout=60s")
    for name in ("approval-policy.yaml", "operator-rbac.yaml"):
        kubectl("delete", "-f", str(ROOT / "manifests/base" / name), "--ignore-not-found", "--timeout=60s")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")


def operator_kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    """A kubeconfig with a token of the operator's ServiceAccount: the rights it has in a cluster, and no more."""
    token = kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration=4h").strip()
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    config["users"] = [{"name": "akeso", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "akeso"
    path = folder / "operator.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def tenant_rights(kubectl: Kubectl, namespace: str, account: str, *actions: str, cluster_wide: bool = False) -> None:
    """What the README tells a tenant: akeso rbac ... | kubectl apply -f -"""
    command = [str(ROOT / ".venv/bin/akeso"), "rbac", "--service-account", account, "-n", namespace, *actions]
    printed = subprocess.run(
        [*command, *(["--cluster-wide"] if cluster_wide else [])], capture_output=True, text=True, check=True,
        timeout=30)
    kubectl.apply(printed.stdout)
