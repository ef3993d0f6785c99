"""Durable alerts a second over 32 connections, against the same rows committed by psycopg, in turns."""
from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from hack.devcluster.console import say
from hack.rig.install import ROOT
from hack.rig.operator import Operator

from . import alerts, figures
from .figures import Figure
from .place import Place, durability, postmaster, running, uninterrupted
from .proc import children, spent

CONNECTIONS = 32
ROUNDS = 5
FASTEST = {1: 12_000, 20: 50_000}  # alerts/s for which requests are prepared; a faster machine needs more
GOALS = {1: ">= 0.25", 20: ">= 0.50"}


@dataclass(slots=True)
class Client:
    """The load generator's process."""

    process: subprocess.Popen[str]
    seed: int
    first: int = 0

    def round(self, kind: str, size: int, seconds: float, **job: Any) -> dict[str, Any]:
        """One round; alert numbers never repeat. Raises RuntimeError with what the client said."""
        posts = int(FASTEST[size] * seconds / size) + CONNECTIONS
        asked = {"kind": kind, "alerts": size, "seconds": seconds, "seed": self.seed, "first": self.first,
                 "posts": posts, "connections": CONNECTIONS, **job}
        self.first += posts * size
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"error": "the client ended"}')
        if "error" in answer:
            raise RuntimeError(f"{kind} of {size}: {answer['error']}")
        return answer


@contextmanager
def client(seed: int) -> Iterator[Client]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hack.benches.client"], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield Client(process, seed)
    finally:
        with uninterrupted():
            process.kill()
            process.wait(10)


@contextmanager
def stopped(operator: Operator) -> Iterator[None]:
    """Held by SIGSTOP: the floor has the machine to itself, whatever the operator still has to do."""
    assert operator.process is not None
    operator.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        operator.process.send_signal(signal.SIGCONT)


@dataclass(slots=True)
class Results:
    rounds: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, kind: str, size: int, one: dict[str, Any]) -> None:
        self.rounds.setdefault((kind, size), []).append(one)

    def median(self, kind: str, size: int, what: str) -> float:
        return figures.median([one[what] for one in self.rounds[kind, size]])

    def total(self, kind: str) -> int:
        return sum(one["alerts"] for (k, _), some in self.rounds.items() if k == kind for one in some)


def run(where: Place, arguments: argparse.Namespace) -> list[Figure]:
    """Alerts that no Workflow wants, then alerts that start a run each."""
    seconds = arguments.seconds or 3.0
    with client(arguments.seed) as sender:
        with running(where.operator()) as operator:
            say(f"Postgres: {durability(where.database)}")
            found = _measured("", _rounds(where, operator, sender, seconds))
        _make_workflow(where)
        with running(where.operator(WORKERS="0")) as operator:  # the rows only: nobody carries the runs meanwhile
            workflow = _pinned(where)
            labels = {"namespace": "shop", "alertname": "BenchAlert"}
            found += _measured(", with a run each", _rounds(
                where, operator, sender, seconds, labels=labels, workflow=workflow))
    return found


def _rounds(
    where: Place, operator: Operator, sender: Client, seconds: float, *, labels: Mapping[str, str] | None = None,
    workflow: str = "",
) -> Results:
    results = Results()
    token = operator.token_file.read_text().strip()
    post = {"host": operator.host, "port": operator.port, "token": token, "labels": labels}
    insert = {"url": where.database, "labels": labels, "workflow": workflow}
    before = _stored(where.database)
    warm = Results()
    for size in (1, 20):
        for kind, job in (("post", post), ("insert", insert)):
            warm.add(kind, size, sender.round(kind, size, 1.0, **job))
    for number in range(ROUNDS):
        for size in (1, 20):
            for kind, job in (("post", post), ("insert", insert)):
                before_cpu = _cpu(operator, where.folder)
                with stopped(operator) if kind == "insert" else nullcontext():
                    one = sender.round(kind, size, seconds, **job)
                after_cpu = _cpu(operator, where.folder)
                shares = [(b - a) / one["seconds"] for a, b in zip(before_cpu, after_cpu, strict=True)]
                results.add(kind, size, one)
                say(f"round {number + 1}/{ROUNDS}, {kind} of {size}: {one['perSecond']:,.0f} alerts/s, p50 "
                    f"{one['p50'] * 1000:.1f} ms, p99 {one['p99'] * 1000:.1f} ms; cores: client {one['cpu']:.2f}, "
                    f"operator {shares[0]:.2f}, Postgres {shares[1]:.2f}")
    expected = results.total("post") + warm.total("post")
    stored = _stored(where.database) - before
    if stored != expected:
        raise RuntimeError(f"{expected} alerts were acknowledged, {stored} are in the database")
    say(f"all {expected:,} acknowledged alerts are in the database")
    return results


def _measured(what: str, results: Results) -> list[Figure]:
    found = []
    for size in (1, 20):
        found.append(figures.figure(
            f"durable alerts, POSTs of {size}{what}", results.median("post", size, "perSecond"), "alerts/s",
            floor=results.median("insert", size, "perSecond"), goal=GOALS[size]))
    for size in (1, 20):
        for rank in ("p50", "p99"):
            found.append(figures.figure(
                f"ack {rank} of a POST of {size}{what}", results.median("post", size, rank) * 1000, "ms",
                floor=results.median("insert", size, rank) * 1000))
    return found


def _stored(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from signal where source <> %s", [alerts.FLOOR]).fetchone()
    return int(row[0]) if row else 0


def _make_workflow(where: Place) -> None:
    """One that every alert of the second half starts; it only suggests."""
    meta = {"name": "crash-loops", "namespace": "shop"}
    where.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
    where.kubectl.apply(json.dumps({"apiVersion": "akeso.dev/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": {
        "mode": "DryRun", "triggers": [{"name": "crash-looping", "alert": {
            "matchers": [{"name": "alertname", "value": "BenchAlert"}]}}],
        "steps": [{"name": "look", "action": {"name": "collect_diagnostics"}}]}}))


def _pinned(where: Place) -> str:
    """The Workflow as a run carries it."""
    found = where.kubectl.get("workflows.akeso.dev", "crash-loops", "-n", "shop")
    meta = found["metadata"]
    return json.dumps({"kind": "Workflow", "namespace": "shop", "name": meta["name"], "uid": meta["uid"],
                       "generation": meta["generation"], "spec": found["spec"]})


def _cpu(operator: Operator, folder: Path) -> tuple[float, float]:
    """Seconds of CPU that the operator has used, and Postgres with its children (those that ended as well)."""
    assert operator.process is not None
    server = postmaster(folder)
    return spent(operator.process.pid), sum(spent(pid) for pid in [server, *children(server)])
