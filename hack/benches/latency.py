"""From the POST of an alert to the write that the API server accepted, one alert at a time, against a straight script.

Both ends of both are by one clock: the POST (or the script's start) by this process, the write by the audit log.
"""
from __future__ import annotations

import argparse
import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from hack.devcluster.console import say
from hack.rig.operator import Operator

from . import alerts, audit, figures, shop
from .audit import Tail
from .figures import Figure
from .place import Place, running
from .shop import Target
from .straight import Script, recipe

WARM_UP = 8


@dataclass(slots=True)
class Sender:
    """Posts alerts over one connection that stays open, as Alertmanager does."""

    operator: Operator
    seed: int
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.operator.host, self.operator.port, timeout=10)

    def post(self, number: int, target: Target, status: str) -> tuple[float, float]:
        """When the POST began, in seconds since the epoch, and how long the answer took."""
        one = alerts.alert(self.seed, number, {"alertname": shop.ALERT, "pod": target.pod})
        one |= {"status": status, "startsAt": f"2026-11-20T12:{number // 60 % 60:02d}:{number % 60:02d}Z"}
        body = json.dumps(alerts.notification([one]))
        token = self.operator.token_file.read_text().strip()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        began = time.time()
        self.connection.request("POST", "/v1/alerts", body=body, headers=headers)
        answer = self.connection.getresponse()
        said, ended = answer.read(), time.time()
        if answer.status != 202 and status == "firing":
            raise RuntimeError(f"POST of an alert: {answer.status} {said[:500].decode(errors='replace')}")
        return began, ended - began


def run(where: Place, arguments: argparse.Namespace) -> list[Figure]:
    if where.audit_log is None:
        raise RuntimeError("alert to write needs the audit log of a cluster of hack/cluster: leave out --kubeconfig")
    samples = arguments.samples
    ours = [f"akeso-{n:03d}" for n in range(WARM_UP + samples)]
    theirs = [f"floor-{n:03d}" for n in range(WARM_UP + samples)]
    targets = shop.open_shop(where, [*ours, *theirs])
    with running(where.operator()) as operator:
        shop.wait_ready(where)
        sender, tail = Sender(operator, arguments.seed), Tail(where.audit_log)
        script: Script | None = None
        measured: dict[str, list[float]] = {"akeso": [], "floor": [], "ack": []}
        try:
            for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
                began, ack = sender.post(number, targets[mine], "firing")
                write = tail.wait_for_write(_uri(mine))
                _let_it_end(where, sender, number, targets[mine])
                if script is None and number >= WARM_UP // 2:
                    script = _learn(where, operator, began, write.ended, targets[mine])
                if script is None:
                    continue
                started = script.run(targets[other], number)
                straight = tail.wait_for_write(_uri(other))
                time.sleep(0.3)  # its rollout
                if number >= WARM_UP:
                    measured["akeso"].append(write.ended - began)
                    measured["floor"].append(straight.ended - started)
                    measured["ack"].append(ack)
                if number % 5 == 0:
                    say(f"{number - WARM_UP + 1}/{samples}: Akeso {1000 * (write.ended - began):.1f} ms, "
                        f"straight script {1000 * (straight.ended - started):.1f} ms")
        finally:
            tail.close()
            if script is not None:
                script.close()
    return _figures(measured)


def _figures(measured: dict[str, list[float]]) -> list[Figure]:
    def rank(what: str, share: float) -> float:
        return figures.quantile(measured[what], share) * 1000

    return [
        figures.figure("alert to write, p50", rank("akeso", 0.5), "ms", floor=rank("floor", 0.5), goal="<= 1.5"),
        figures.figure("alert to write, p99", rank("akeso", 0.99), "ms", floor=rank("floor", 0.99), goal="<= 3"),
        figures.figure("alert to write, p50 alone", rank("akeso", 0.5), "ms", goal="< 100"),
        figures.figure("ack of one alert, p50", rank("ack", 0.5), "ms"),
        figures.figure("ack of one alert, p99", rank("ack", 0.99), "ms"),
    ]


def _uri(name: str) -> str:
    return f"/apis/apps/v1/namespaces/{shop.NAMESPACE}/deployments/{name}"


def _learn(where: Place, operator: Operator, since: float, until: float, seen: Target) -> Script:
    assert where.audit_log is not None
    made = audit.calls(where.audit_log, since, until + 1e-6, "akeso")
    path = recipe(made)
    say(f"{len(made)} API calls of Akeso between alert and write; the straight script makes {len(path)} of them:")
    for call in path:
        say(f"  {call.verb} {call.uri}")
    return Script(operator.kubeconfig, where.database, path, seen)


def _let_it_end(where: Place, sender: Sender, number: int, target: Target) -> None:
    """The alert resolves, and the run is ended by hand: the fake nodes take ten seconds for a rollout that nobody
    measures here, and verifying dozens of them at once would disturb the next sample."""
    sender.post(number, target, "resolved")
    deadline = time.monotonic() + 30
    with psycopg.connect(where.database, autocommit=True) as connection:
        while True:
            connection.execute("update run set phase = 'Cancelled', shown = version, wake_at = null, ended_at = now()"
                               " where not terminal and holder is null and shown = version")
            row: Any = connection.execute(
                "select count(*), min(name || ' ' || phase) from run where not terminal or shown < version").fetchone()
            if row[0] == 0:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the run on {target.name} does not end: {row[1]}\n{sender.operator.tail()}")
            time.sleep(0.05)
