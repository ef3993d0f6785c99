"""The namespace in which alert to write is measured: Deployments on fake nodes, and the Workflow that restarts them."""
from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from hack.devcluster.console import say
from hack.rig.install import tenant_rights

from .place import Place

NAMESPACE = "shop"
ACCOUNT = "akeso-remediator"
ALERT = "BenchErrorsHigh"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


@dataclass(frozen=True, slots=True)
class Target:
    """A Deployment with the names that lead to it from an alert."""

    name: str
    replica_set: str
    pod: str
    uid: str
    generation: int


def open_shop(where: Place, names: list[str]) -> dict[str, Target]:
    """Make everything and wait until every Deployment is available."""
    where.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": NAMESPACE, "labels": {"akeso.dev/managed": "true"}}}))
    tenant_rights(where.kubectl, NAMESPACE, ACCOUNT, "restart_deployment")
    where.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        *_definitions(), *(_deployment(name) for name in names)]}))
    say(f"{len(names)} Deployments made; waiting for their pods")
    deadline = time.monotonic() + 120
    while True:
        found = where.kubectl.get("deployments", "-n", NAMESPACE)["items"]
        ready = [d for d in found if d.get("status", {}).get("readyReplicas") == d["spec"]["replicas"]]
        if len(ready) == len(names):
            return _targets(where, found)
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(ready)} of {len(names)} Deployments became ready")
        time.sleep(1)


def _targets(where: Place, deployments: list[dict[str, Any]]) -> dict[str, Target]:
    listed = [p["metadata"] for p in where.kubectl.get("pods", "-n", NAMESPACE)["items"]]
    pods = {p["labels"]["app"]: (p["ownerReferences"][0]["name"], p["name"]) for p in listed}
    metas = [d["metadata"] for d in deployments]
    return {m["name"]: Target(m["name"], *pods[m["name"]], m["uid"], m["generation"]) for m in metas}


def wait_ready(where: Place) -> None:
    """Until the Workflow says that it can run. Raises KubectlError with what kubectl saw."""
    where.kubectl("wait", "--for=condition=Ready", "workflows.akeso.dev/restarts", "-n", NAMESPACE, "--timeout=60s",
                  timeout=70)


def _definitions() -> list[dict[str, Any]]:
    def made(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": NAMESPACE}
        return {"apiVersion": "akeso.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}

    return [
        made("ModelEndpoint", "rules", {"provider": "Rules", "model": "rules"}),
        made("Agent", "sre", {"autonomy": "Autonomous", "modelEndpointRefs": [{"name": "rules"}],
                              "actions": {"allow": ["restart_deployment"]}}),
        made("Workflow", "restarts", {
            "agentRef": {"name": "sre"}, "serviceAccountName": ACCOUNT,
            "triggers": [{"name": "errors", "alert": {"matchers": [{"name": "alertname", "value": ALERT}]}}],
            "steps": [{"name": "restart", "condition": {"ask": {"question": "Are all replicas ready?"}},
                       "action": {"name": "restart_deployment", "with": {"allowSingleReplica": True}}}]}),
    ]


def _deployment(name: str) -> dict[str, Any]:
    container = {"name": "app", "image": "registry.invalid/app:1", "resources": {
        "requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}}}
