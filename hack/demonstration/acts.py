"""The three acts: what is broken, and how the cluster shows that it is well again (or was left alone)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

NAMESPACE = "shop"
IMAGE = "docker.io/library/busybox:akeso"

# Serves a page, and holds a cache of 40 MiB in memory: `tail` keeps a line without an end.
WEB = "echo ok > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
CACHE = f"echo warming a cache of 40 MiB; head -c 40m /dev/zero | tail >/dev/null || exit 137; {WEB}"
BROKEN = "echo 'unknown flag: --port'; exit 1"
NO_DATABASE = "echo 'cannot reach ledger-db:5432: connection refused'; exit 3"


@dataclass(frozen=True, slots=True)
class Act:
    """`first` is applied and must become Available where it can; `then`, if any, is the change that breaks it."""

    number: int
    title: str
    deployment: str
    first: str
    then: str = ""
    memory: str = "64Mi"
    ends: str = "Succeeded"
    remedy: str = ""


ACTS = (
    Act(1, "a memory limit that is too low: the kernel kills the container", "catalog", CACHE, memory="24Mi",
        remedy="set_memory_limit"),
    Act(2, "a bad rollout: the new revision crash-loops", "checkout", WEB, BROKEN, remedy="rollback_deployment"),
    Act(3, "a crash that no remedy of the Workflow fits: a person is told, nothing is written", "ledger", NO_DATABASE,
        ends="Escalated"),
)


def deployment(act: Act, command: str) -> str:
    """The manifest, with that command."""
    container = {
        "name": "app", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command],
        "resources": {"requests": {"memory": "16Mi", "cpu": "10m"}, "limits": {"memory": act.memory}}}
    if command != NO_DATABASE:
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    labels = {"app": act.deployment}
    body: dict[str, Any] = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": act.deployment, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1, "progressDeadlineSeconds": 120, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [container]}}}}
    return json.dumps(body)
