"""kopf in its own thread and loop: in a shared loop it cancels other people's tasks when it ends (design/engine.md).

Only `on.event` handlers: they keep no state on the objects, add no finalizer and need no peering, so that two active
replicas do no harm and an uninstalled operator leaves nothing undeletable behind.
"""
from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import kopf

from akeso.model.api.kinds import CUSTOM_KINDS
from akeso.model.names import GROUP, VERSION
from akeso.model.objects import lean

Observer = Callable[[str, Mapping[str, Any]], None]
"""(event type, raw object). Called in the main loop."""

PREFIX = GROUP


class Watch:
    """Starts kopf and feeds `observe`, in the main loop, with every change and every listing."""

    def __init__(self, observe: Observer, loop: asyncio.AbstractEventLoop) -> None:
        self._observe = observe
        self._loop = loop
        self._stop = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        self._stop.set()
        self._thread.join(timeout)

    async def ended(self) -> None:
        """Waits for ever. Raises RuntimeError where kopf ended: nothing is seen any more, so the process must end."""
        await self._ended.wait()
        raise RuntimeError("kopf ended")

    @property
    def alive(self) -> bool:
        """False once kopf's thread ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._operate())
        finally:
            with suppress(RuntimeError):  # the main loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._ended.set)

    async def _operate(self) -> None:
        stop = asyncio.Event()
        watcher = asyncio.get_running_loop().run_in_executor(None, self._stop.wait)
        watcher.add_done_callback(lambda _: stop.set())
        try:
            await kopf.operator(
                registry=self._registry(), settings=settings(), standalone=True, clusterwide=True, stop_flag=stop)
        finally:
            self._stop.set()  # else the executor's thread, which waits for it, would keep a dead kopf `alive`

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def seen(event: Mapping[str, Any], **_: Any) -> None:
            self._loop.call_soon_threadsafe(self._observe, str(event.get("type") or "ADDED"), lean(event["object"]))

        async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
            return kopf.login_with_kubeconfig(**kwargs) or kopf.login_with_service_account(**kwargs)

        kopf.on.login(registry=registry)(login)
        for kind in CUSTOM_KINDS:
            kopf.on.event(GROUP, VERSION, kind.plural, registry=registry)(seen)
        kopf.on.event("", "v1", "namespaces", registry=registry)(seen)
        return registry


class Backoffs:
    """Pauses in seconds between attempts at an API server that is away: short, and without an end."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1.0, 2.0), itertools.repeat(4.0))


def settings() -> kopf.OperatorSettings:
    """kopf's settings that differ from its defaults, each for the reason in design/engine.md section 2."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False                     # Events are ours: kopf's do not meet the API guide
    chosen.persistence.finalizer = f"{PREFIX}/finalizer"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=PREFIX)
    chosen.networking.connect_timeout = 10
    chosen.networking.error_backoffs = Backoffs()      # its own end after a minute, and then kopf with them
    chosen.networking.request_timeout = 30
    chosen.watching.server_timeout = 600
    chosen.watching.client_timeout = 660
    chosen.execution.max_workers = 4
    chosen.queueing.idle_timeout = 0.5                 # a worker task per object otherwise lingers for 5 s
    return chosen
