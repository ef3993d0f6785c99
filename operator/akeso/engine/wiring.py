"""The only place that builds things. Starts what `akeso run` consists of, and stops it in the opposite order."""
from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from akeso.act import registry as action_registry
from akeso.act.breakers import Breakers
from akeso.act.perform import Performer
from akeso.clock import Clock, system_clock
from akeso.decide import questions, rules
from akeso.decide.cel import Conditions
from akeso.engine import vitals
from akeso.engine.catalogue import Catalogue
from akeso.engine.intake import Router
from akeso.engine.listing import prime
from akeso.engine.models import Models
from akeso.engine.notifier import Channels
from akeso.engine.projection import StatusProjector
from akeso.engine.reconcile import AlertmanagerReconciler
from akeso.engine.services import Services
from akeso.engine.worker import Worker
from akeso.errors import TryLater
from akeso.ingest.definitions import Definitions
from akeso.ingest.metrics import PrometheusReader
from akeso.kube.client import Connection, connect
from akeso.kube.cluster import Cluster
from akeso.kube.events import Recorder
from akeso.record import embedded, migrate
from akeso.record.history import History
from akeso.record.intake import Intake
from akeso.record.metrics import Metrics
from akeso.record.pool import Database, open_pool
from akeso.record.store import Store
from akeso.settings import Settings

log = structlog.get_logger("akeso")


@dataclass(slots=True)
class Operator:
    """A wired operator. `web` and `handlers` are given its parts by `akeso run`; nothing here imports them."""

    services: Services
    intake: Intake
    router: Router
    worker: Worker
    catalogue: Catalogue
    projector: StatusProjector
    database: Database

    def tasks(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """The loops that run for ever, by name."""
        loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "worker": self.worker.run, "projector": self.projector.run, "catalogue": self.catalogue.run,
            "vitals": lambda: vitals.watch(self.services)}
        settings = self.services.settings
        if not settings.database_url:
            loops["postgres"] = functools.partial(
                embedded.keep, settings.data_dir.expanduser(), self.database.ping, log.warning)
        if settings.alertmanager_urls:
            loops["reconciler"] = AlertmanagerReconciler(self).run
        return loops


async def database_url(settings: Settings) -> str:
    """The configured URL, or the embedded Postgres of the data folder."""
    if settings.database_url:
        return settings.database_url
    return await asyncio.to_thread(embedded.start, settings.data_dir.expanduser())


@contextlib.asynccontextmanager
async def cluster_services(
    settings: Settings, *, clock: Clock = system_clock, database: Database | None = None,
) -> AsyncIterator[Services]:
    """Everything that the engine works with. Without a database there is no ledger: reading and simulating only."""
    rules.table(), questions.catalogue()  # a broken rule file is told at start, and no alert waits for its reading
    async with contextlib.AsyncExitStack() as stack:
        connection: Connection = await stack.enter_async_context(await connect(settings))
        cluster = Cluster(connection)
        definitions = Definitions()
        breakers = Breakers(settings.breaker_failures, settings.breaker_reset_seconds, clock)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, follow_redirects=False))
        series = PrometheusReader(settings.prometheus_url, client=http) if settings.prometheus_url else None
        channels = Channels.from_file(settings.channels_file, http)
        metrics = Metrics()
        breakers.on_change(lambda name, old, new: metrics.breaker(name, new))
        services = Services(
            settings=settings, clock=clock, store=Store(database) if database else None,  # type: ignore[arg-type]
            history=History(database) if database else None,  # type: ignore[arg-type]
            cluster=cluster, recorder=Recorder(cluster, clock, socket.gethostname()), definitions=definitions,
            registry=action_registry.load(), breakers=breakers, performer=Performer(cluster), conditions=Conditions(),
            models=Models(definitions, cluster, breakers), notifier=channels, projector=None,  # type: ignore[arg-type]
            log=log, metrics=metrics, series=series)
        services.projector = StatusProjector(services)
        yield services


@contextlib.asynccontextmanager
async def operator(settings: Settings, *, clock: Clock = system_clock) -> AsyncIterator[Operator]:
    """A whole operator with its ledger migrated and its definitions listed; nothing runs yet."""
    url = await database_url(settings)
    await migrate.migrate(url)
    async with contextlib.AsyncExitStack() as stack:
        database = await open_pool(url, settings.database_pool_size)
        stack.push_async_callback(database.close)
        async with cluster_services(settings, clock=clock, database=database) as services:
            catalogue = Catalogue(services)
            projector = StatusProjector(services, lambda run: catalogue.recheck(
                run.workflow["kind"], run.workflow["namespace"], run.workflow["name"]))
            services.projector = projector
            services.breakers.on_change(lambda name, old, new: catalogue.agents_again())
            await _primed(services, catalogue)
            yield Operator(
                services, Intake(services.store, clock=clock, committed=services.metrics.committed),
                Router(services.definitions),
                Worker(services, f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"), catalogue, projector,
                database)


async def _primed(services: Services, catalogue: Catalogue) -> None:
    """List the definitions before anything is matched. An API server that is away is waited for, and said."""
    while True:
        try:
            await prime(services, catalogue)
            return
        except TryLater as away:
            log.warning(str(away))
            await asyncio.sleep(min(max(away.after, 1.0), 10.0))
