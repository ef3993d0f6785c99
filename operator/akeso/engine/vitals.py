"""Gauges that nobody's action sets: read now and then, so that /metrics is told without asking a dependency itself."""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from akeso.errors import AkesoError

if TYPE_CHECKING:
    from akeso.engine.services import Services

PERIOD_SECONDS = 15.0  # the usual scrape interval


async def watch(services: Services) -> None:
    """For ever: queue depth, age of heartbeats, and whether the database and the API server answer."""
    while True:
        await _up(services, "database", _ledger)
        await _up(services, "kubernetes", _api_server)
        await asyncio.sleep(PERIOD_SECONDS)


async def _up(services: Services, name: str, look: Callable[[Services], Awaitable[None]]) -> None:
    try:
        await look(services)
    except AkesoError:
        services.metrics.dependency_up.labels(name).set(0)
    else:
        services.metrics.dependency_up.labels(name).set(1)


async def _ledger(services: Services) -> None:
    now = services.clock()
    services.metrics.queue_depth.set(await services.history.queue_depth(now))
    for source, seen in (await services.store.heartbeats()).items():
        services.metrics.heartbeat(source, (now - seen).total_seconds())


async def _api_server(services: Services) -> None:
    await services.cluster.server_version()
