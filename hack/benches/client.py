"""The load generator: one process of its own, which does nothing but send what was made before the clock started.

It reads one job a line as JSON from standard input and answers one line each. `post` speaks HTTP/1.1 over raw sockets;
`insert` commits the same rows by psycopg. Both use as many connections as they are told, one request in flight on each.
"""
from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from typing import Any

import psycopg
import uvloop

from . import alerts, figures

_SIGNAL = ("insert into signal (id, source, fingerprint, starts_at, labels, annotations, generator_url, group_key,"
           " receiver, first_seen, last_seen, matched) values ")
_SIGNAL_ROW = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, now(), now(), '{}')"
_RUN = ("insert into run (id, name, namespace, signal_id, workflow_key, trigger, workflow, agent, wake_at, created_at,"
        " shown) values ")
_RUN_ROW = "(%s, %s, %s, %s, %s, %s, %s, %s, now(), now(), 0)"  # shown: the operator need not draw these
Send = Callable[[Any], Awaitable[None]]


def _numbers(job: dict[str, Any]) -> Iterator[int]:
    return iter(range(job["first"], job["first"] + job["posts"] * job["alerts"], job["alerts"]))


def _requests(job: dict[str, Any]) -> list[bytes]:
    head = (f"POST /v1/alerts HTTP/1.1\r\nHost: {job['host']}:{job['port']}\r\nUser-Agent: Alertmanager/0.31.0\r\n"
            f"Authorization: Bearer {job['token']}\r\nContent-Type: application/json\r\nContent-Length: ").encode()
    bodies = (alerts.body(job["seed"], n, job["alerts"], job.get("labels")) for n in _numbers(job))
    return [head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]


async def _poster(job: dict[str, Any]) -> Send:
    reader, writer = await asyncio.open_connection(job["host"], job["port"])

    async def send(request: bytes) -> None:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        answer = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{head.splitlines()[0].decode()}: {answer[:300].decode(errors='replace')}")

    return send


def _transactions(job: dict[str, Any]) -> list[list[tuple[str, list[Any]]]]:
    """Of each POST the statements of its transaction: one with all signal rows, one with all run rows."""
    made = []
    for first in _numbers(job):
        signals = [alerts.signal_row(alerts.alert(job["seed"], first + i, job.get("labels")))
                   for i in range(job["alerts"])]
        statements = [(_SIGNAL + ", ".join([_SIGNAL_ROW] * len(signals)), list(chain(*signals)))]
        if job.get("workflow"):
            runs = [alerts.run_row(row[0], first + i, job["workflow"]) for i, row in enumerate(signals)]
            statements.append((_RUN + ", ".join([_RUN_ROW] * len(runs)), list(chain(*runs))))
        made.append(statements)
    return made


async def _committer(job: dict[str, Any]) -> Send:
    connection = await psycopg.AsyncConnection.connect(job["url"], autocommit=True, prepare_threshold=0)

    async def send(statements: list[tuple[str, list[Any]]]) -> None:
        if len(statements) == 1:
            await connection.execute(*statements[0])  # a statement alone is its own transaction: one round trip
            return
        async with connection.pipeline(), connection.transaction():
            for text, values in statements:
                await connection.execute(text, values)

    return send


async def _round(
    job: dict[str, Any], work: list[Any], opening: Callable[[dict[str, Any]], Awaitable[Send]],
) -> dict[str, Any]:
    """Every connection takes the next piece of work until the time is over; what was begun is waited for."""
    sends = [await opening(job) for _ in range(job["connections"])]
    pieces, seconds, done = iter(work), [], 0
    clock = time.perf_counter  # uvloop's own clock counts milliseconds
    cpu, started = time.process_time(), clock()
    until = started + job["seconds"]

    async def connection(send: Send) -> None:
        nonlocal done
        while (before := clock()) < until:
            piece = next(pieces, None)
            if piece is None:
                raise RuntimeError("the round ran out of prepared requests; the figure would be wrong")
            await send(piece)
            seconds.append(clock() - before)
            done += 1

    await asyncio.gather(*(connection(send) for send in sends))
    took = clock() - started
    return {"posts": done, "alerts": done * job["alerts"], "seconds": took, "perSecond": done * job["alerts"] / took,
            "p50": figures.quantile(seconds, 0.5), "p99": figures.quantile(seconds, 0.99),
            "cpu": (time.process_time() - cpu) / took}


def main() -> None:
    uvloop.install()
    for line in sys.stdin:
        job = json.loads(line)
        work, opening = (_requests(job), _poster) if job["kind"] == "post" else (_transactions(job), _committer)
        try:
            answer = asyncio.run(_round(job, work, opening))
        except (RuntimeError, OSError, psycopg.Error, asyncio.IncompleteReadError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
