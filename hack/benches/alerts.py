"""Alerts as kube-prometheus' rules and Alertmanager 0.3x make them, each new: no two share a fingerprint."""
from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

SOURCE = "http://alertmanager.bench:9093"
FLOOR = SOURCE + "/floor"  # of rows that the client commits by itself
STARTED = "2026-11-20T12:00:00.123456789Z"
_IDS = uuid.UUID("0b0ec1c4-7a7b-4d0e-9c55-2f8c1f4e7b01")


def alert(seed: int, number: int, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The `number`th firing alert of this seed, as in a notification."""
    name = f"web-{number % 500:03d}"
    shown = {
        "alertname": "KubePodCrashLooping", "namespace": "shop", "pod": f"{name}-7d9c5b6f4-{number:05d}",
        "container": "app", "job": "kube-state-metrics", "instance": "10.0.0.7:8080", "prometheus": "monitoring/k8s",
        "reason": "CrashLoopBackOff", "severity": "warning", "uid": f"00000000-0000-4000-8000-{number:012d}",
        **(labels or {})}
    return {
        "status": "firing", "labels": shown,
        "annotations": {
            "description": f"Pod shop/{shown['pod']} (app) is in waiting state (reason: \"CrashLoopBackOff\").",
            "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",
            "summary": "Pod is crash looping."},
        "startsAt": STARTED, "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.bench:9090/graph?g0.expr=max_over_time%28kube_pod_container_status_waiting_reason"
                        "%7Bjob%3D%22kube-state-metrics%22%2Cnamespace%3D~%22.%2A%22%2Creason%3D%22CrashLoopBackOff%22%7D"
                        "%5B5m%5D%29+%3E%3D+1&g0.tab=1",
        "fingerprint": fingerprint(seed, number)}


def fingerprint(seed: int, number: int) -> str:
    return hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()[:16]


def notification(alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """Alertmanager's webhook, version 4."""
    first = alerts[0]
    shared = {k: v for k, v in first["labels"].items() if all(a["labels"].get(k) == v for a in alerts)}
    return {
        "version": "4", "groupKey": '{}/{alertname=~".+"}:{alertname="KubePodCrashLooping", namespace="shop"}',
        "truncatedAlerts": 0, "status": first["status"], "receiver": "akeso", "externalURL": SOURCE,
        "groupLabels": {"alertname": first["labels"]["alertname"]}, "commonLabels": shared, "commonAnnotations": {},
        "alerts": alerts}


def body(seed: int, first: int, count: int, labels: Mapping[str, str] | None = None) -> bytes:
    return json.dumps(notification([alert(seed, first + i, labels) for i in range(count)])).encode()


def signal_row(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """The columns of `signal` that the operator fills, for the floor. Ids are made beforehand there too."""
    return (
        str(uuid.uuid5(_IDS, one["fingerprint"])), FLOOR, one["fingerprint"], "2026-11-20T12:00:00.123Z",
        json.dumps(one["labels"]), json.dumps(one["annotations"]), one["generatorURL"],
        '{}/{alertname=~".+"}:{alertname="KubePodCrashLooping", namespace="shop"}', "akeso")


def run_row(signal: str, number: int, workflow: str) -> tuple[Any, ...]:
    """The columns of `run` that the operator fills."""
    return (str(uuid.uuid5(_IDS, f"{signal}/run")), f"crash-loops-f{number:011x}", "shop", signal,
            "shop/Workflow/crash-loops", "crash-looping", workflow, "{}")
