"""hack/bench idle: what an operator with 1,000 Workflows costs while nothing happens."""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from hack.devcluster.console import say
from hack.rig.operator import Operator

from . import figures
from .figures import Figure
from .place import Place, place, postmaster, running
from .proc import children, memory, spent

NAMESPACES = 10
_GENERATIONS = r"jsonpath={range .items[*]}{.metadata.generation}={.status.observedGeneration}{'\n'}{end}"
SETTLE = 600.0  # seconds within which every Workflow must have its status


def run(arguments: argparse.Namespace) -> list[Figure]:
    seconds, count = arguments.seconds or 60.0, arguments.workflows
    with place(arguments.kubeconfig) as where:
        _make(where, count)
        with running(where.operator()) as operator:
            settled = _settled(where, count)
            say(f"every Workflow has its status after {settled:.0f} s; watching an idle operator for {seconds:g} s")
            time.sleep(5)
            return [*_watched(where, operator, seconds, count),
                    figures.figure(f"start until {count:,} Workflows have their status", settled, "s")]


def _make(where: Place, count: int) -> None:
    started = time.monotonic()
    items: list[dict[str, Any]] = []
    for space in range(NAMESPACES):
        name = f"team-{space}"
        items.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        items.append(_made("ModelEndpoint", "rules", name, {"provider": "Rules", "model": "rules"}))
        items.append(_made("Agent", "sre", name, {"autonomy": "Suggest", "modelEndpointRefs": [{"name": "rules"}]}))
    items += [_workflow(number) for number in range(count)]
    for first in range(0, len(items), 250):
        where.kubectl("create", "-f", "-", stdin=json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": items[first:first + 250]}), timeout=300)
        say(f"{min(first + 250, len(items))}/{len(items)} objects made")
    say(f"made in {time.monotonic() - started:.0f} s")


def _made(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "akeso.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def _workflow(number: int) -> dict[str, Any]:
    """As a team writes one: an alert, a remedy, a note to people. A third lacks its ServiceAccount and is not Ready."""
    spec: dict[str, Any] = {
        "description": f"Heals service {number} where the facts support a remedy; tells the team otherwise.",
        "agentRef": {"name": "sre"},
        "triggers": [{"name": "crash-looping", "alert": {"matchers": [
            {"name": "alertname", "value": "KubePodCrashLooping"},
            {"name": "pod", "matchType": "=~", "value": f"svc-{number}-.*"}]}}],
        "steps": [
            {"name": "look", "action": {"name": "collect_diagnostics"}},
            {"name": "tell", "dependsOn": ["look"],
             "notify": {"channel": "oncall", "message": "{{ run.name }}: {{ target }}"}}],
        "activeDeadlineSeconds": 900}
    if number % 3 == 0:
        ask = {"question": "Should the deployment be restarted?", "onUncertain": "Skip"}
        spec["steps"].insert(1, {"name": "restart", "dependsOn": ["look"], "condition": {"ask": ask},
                                 "action": {"name": "restart_deployment"}})
    return _made("Workflow", f"svc-{number:04d}", f"team-{number % NAMESPACES}", spec)


def _settled(where: Place, count: int) -> float:
    """Seconds until every Workflow shows its own generation. Raises RuntimeError when that takes too long."""
    started = time.monotonic()
    while True:
        shown = where.kubectl("get", "workflows.akeso.dev", "-A", "-o", _GENERATIONS).split()
        done = sum(1 for line in shown if len(set(line.split("="))) == 1)
        if done == count:
            return time.monotonic() - started
        if time.monotonic() - started > SETTLE:
            raise RuntimeError(f"only {done} of {count} Workflows have a status after {SETTLE:g} s")
        say(f"{done}/{count} Workflows have their status")
        time.sleep(2)


def _watched(where: Place, operator: Operator, seconds: float, count: int) -> list[Figure]:
    assert operator.process is not None
    pid, server = operator.process.pid, postmaster(where.folder)
    servers = [server, *children(server)]
    before, before_server = spent(pid), sum(spent(p) for p in servers)
    started, largest = time.monotonic(), 0.0
    while (passed := time.monotonic() - started) < seconds:
        time.sleep(min(5.0, seconds - passed))
        largest = max(largest, memory(pid)["Rss"])
    took = time.monotonic() - started
    share = (spent(pid) - before) / took * 100
    share_server = (sum(spent(p) for p in servers) - before_server) / took * 100
    own, theirs = memory(pid), [memory(p) for p in servers]
    what = f"idle, {count:,} Workflows"
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    say(f"operator: Rss {own['Rss']:.0f} MiB, Pss {own['Pss']:.0f}, private {own['Private_Dirty']:.0f}, "
        f"{threads} threads")
    return [
        figures.figure(f"{what}: resident memory of the operator", largest, "MiB", goal="< 150"),
        figures.figure(f"{what}: its proportional set size", own["Pss"], "MiB"),
        figures.figure(f"{what}: CPU of the operator", share, "% of a core", goal="< 2"),
        figures.figure(f"{what}: proportional set size of its Postgres", sum(m["Pss"] for m in theirs), "MiB"),
        figures.figure(f"{what}: CPU of its Postgres", share_server, "% of a core"),
    ]
