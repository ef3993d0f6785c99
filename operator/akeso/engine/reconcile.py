"""Level against Alertmanager: what fired while nobody listened is picked up, what no longer fires is closed.

Alertmanager never delivers an alert that fires and resolves while we are down, and gives up on 4xx until the next group
interval (design/reliability.md A.2). So at start, and every `reconcile_seconds`, its own list is read.
"""
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from akeso.errors import AkesoError
from akeso.ingest.reconcile import active
from akeso.ingest.sources import Sources

if TYPE_CHECKING:
    from akeso.engine.wiring import Operator


class AlertmanagerReconciler:
    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.sources = Sources.from_settings(operator.services.settings.alertmanager_urls)

    async def run(self) -> None:
        """For ever, beginning now."""
        settings = self.operator.services.settings
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client:
            while True:
                try:
                    await self.once(client)
                except AkesoError as error:
                    self.operator.services.log.warning(str(error))
                await asyncio.sleep(settings.reconcile_seconds)

    async def once(self, client: httpx.AsyncClient) -> None:
        services = self.operator.services
        before = services.clock()
        for source in await active(self.sources, client):
            for problem in source.problems:
                services.log.warning(f"Alertmanager {source.source}: {problem}")
            beats = [a for a in source.to_save if a.name == services.settings.heartbeat_alert]
            if beats:
                await services.store.beat_heartbeat(source.source, before)
            items = self.operator.router.route(
                [a for a in source.to_save if a.name != services.settings.heartbeat_alert])
            if items:
                await self.operator.intake.save(items)
            if source.complete:
                gone = await services.store.mark_resolved_absent(source.source, source.still_firing, before)
                if gone:
                    services.log.info(f"{len(gone)} alerts resolved unseen", source=source.source)
        self.operator.worker.wake()
