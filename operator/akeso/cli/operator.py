"""`akeso run`: the web server, the workers and the watches around one wired operator, and a graceful stop."""
from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from akeso import failpoints
from akeso.engine.wiring import Operator, operator
from akeso.errors import DatabaseAway
from akeso.handlers.watch import Watch
from akeso.ingest.matching import judge, why_nothing
from akeso.ingest.sources import Sources
from akeso.model.alert import Alert
from akeso.model.api.kinds import APPROVAL
from akeso.model.objects import Object, dig
from akeso.record import log as logs
from akeso.record.incoming import Incoming, Saved
from akeso.settings import Settings
from akeso.web.app import WebServices, create_app
from akeso.web.auth import Authenticator, ServiceAccountTokens, StaticTokens
from akeso.web.health import Dependency, Pulse
from akeso.web.receive import COMMIT_SECONDS, Received, Receiver
from akeso.web.server import serve

log = structlog.get_logger("akeso.run")


async def run_operator(**overrides: Any) -> None:
    """Until SIGTERM or SIGINT. Raises InvalidInput for bad settings, GiveUp where it cannot start."""
    settings = Settings.from_env(**overrides)
    settings.export_kubeconfig()
    logs.configure(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with operator(settings) as op:
        await _serve(op, stop)


async def _serve(op: Operator, stop: asyncio.Event) -> None:
    settings = op.services.settings
    watch = Watch(lambda event, obj: _observe(op, event, obj), asyncio.get_running_loop())
    watch.start()
    pulse = Pulse()
    app = create_app(WebServices(
        receiver=_receiver(op), dependencies=_dependencies(op, watch), metrics=op.services.metrics.exposition,
        pulse=pulse))
    loops = [asyncio.create_task(_for_ever(name, start, stop), name=name)
             for name, start in {**op.tasks(), "pulse": pulse.run, "watch": watch.ended}.items()]
    try:
        await serve(app, settings, stop=stop,
                    started=lambda port: log.info(f"listening on {settings.listen_host}:{port}", port=port))
    finally:
        log.info("stopping: runs in flight may finish their move")
        await op.worker.stop()
        await op.projector.drain()
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await asyncio.to_thread(watch.stop)


async def _for_ever(name: str, start: Any, stop: asyncio.Event) -> None:
    """A loop that ends by a bug ends the process: the kubelet restarts it, and the ledger has everything."""
    try:
        await start()
    except asyncio.CancelledError:
        raise
    except Exception:  # the outermost edge
        log.exception(f"{name} ended by a bug; stopping")
        stop.set()


def _observe(op: Operator, event: str, obj: Object) -> None:
    """A watch event, on the main loop."""
    if obj.get("kind") == APPROVAL.kind and dig(obj, "spec", "decision"):
        task = asyncio.ensure_future(_wake(op, obj))
        task.add_done_callback(lambda t: t.exception() and log.warning(str(t.exception())))
        return
    op.catalogue.observe(event, obj)


async def _wake(op: Operator, approval: Object) -> None:
    """A person has answered. While the database is away, again and again: the answer must not have to wait for more."""
    while True:
        try:
            run = await op.services.store.run_named(
                str(dig(approval, "metadata", "namespace")), str(dig(approval, "spec", "runRef", "name")))
            if run is not None and not run.phase.terminal:
                await op.services.store.wake(run.id, op.services.clock())
                op.worker.wake()
            return
        except DatabaseAway:
            await asyncio.sleep(1.0)


def _receiver(op: Operator) -> Receiver:
    settings, services = op.services.settings, op.services

    async def save(items: Sequence[Incoming]) -> list[Saved]:
        failpoints.reach("before-ack-commit")
        async with services.guard("database"):
            saved = await _in_time(op.intake.save(items))
        failpoints.reach("after-ack-commit")
        op.worker.wake()
        return saved

    async def heartbeat(source: str, now: datetime) -> None:
        await services.store.beat_heartbeat(source, now)

    def explain(alert: Alert) -> Sequence[str]:
        if alert.status != "firing":
            return ["a resolved alert starts nothing; it closes its signal and wakes the runs that wait for it"]
        return why_nothing(alert, judge(alert, services.definitions), services.definitions)

    return Receiver(
        settings=settings, authenticator=_authenticator(op), route=op.router.route,
        save=save, heartbeat=heartbeat, explain=explain, received=lambda r: _count(op, r),
        sources=Sources.from_settings(settings.alertmanager_urls), clock=services.clock)


async def _in_time(saving: Awaitable[list[Saved]]) -> list[Saved]:
    """Within the breaker, so that a database which hangs opens it as well as one that is gone."""
    try:
        async with asyncio.timeout(COMMIT_SECONDS - 0.1):
            return await saving
    except TimeoutError as error:
        raise DatabaseAway("The alerts could not be committed in time", why=f"no commit within {COMMIT_SECONDS:g} s",
                           next_step="send it again; what was committed after all is recognised") from error


def _count(op: Operator, received: Received) -> None:
    metrics = op.services.metrics
    metrics.posts.labels(received.outcome).inc()
    metrics.alerts.labels("received").inc(received.alerts)
    metrics.rejected_alerts.inc(received.rejected)
    metrics.truncated_alerts.inc(received.truncated)


def _authenticator(op: Operator) -> Authenticator:
    settings = op.services.settings
    static = StaticTokens(Path(settings.webhook_token_file)) if settings.webhook_token_file else None
    accounts = None
    if settings.webhook_service_accounts:
        accounts = ServiceAccountTokens(frozenset(settings.webhook_service_accounts), op.services.cluster.token_review)
    return Authenticator(static, accounts, settings.webhook_anonymous)


def _dependencies(op: Operator, watch: Watch) -> list[Dependency]:
    services = op.services

    async def database() -> str:
        await services.store.ping()
        return f"{await services.history.queue_depth(services.clock())} runs due"

    async def kubernetes() -> str:
        return f"Kubernetes {await services.cluster.server_version()}; watches {'alive' if watch.alive else 'dead'}"

    async def definitions() -> str:
        return f"{len(services.definitions.of_kind('Workflow', 'ClusterWorkflow'))} Workflows"

    async def heartbeat() -> str:
        now = services.clock()
        seen = {s: int((now - at).total_seconds()) for s, at in (await services.store.heartbeats()).items()}
        for source, seconds in seen.items():
            services.metrics.heartbeat(source, seconds)
        late = [s for s, seconds in seen.items() if seconds > services.settings.heartbeat_max_age_seconds]
        said = ", ".join(f"{s} {seconds} s ago" for s, seconds in seen.items())
        late_first = f"late: {', '.join(late)}; " if late else ""
        return late_first + (said or f"no {services.settings.heartbeat_alert} alert yet")

    async def breakers() -> str:
        states = services.breakers.snapshot()
        return ", ".join(f"{name} {state}" for name, state in states.items() if state != "closed") or "all closed"

    return [Dependency("database", database, required=True), Dependency("kubernetes", kubernetes),
            Dependency("definitions", definitions), Dependency("heartbeat", heartbeat),
            Dependency("breakers", breakers)]


