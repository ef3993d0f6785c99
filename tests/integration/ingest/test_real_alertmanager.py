"""A real Alertmanager against the real receiver and a real Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.ingest.alertmanager import binary, running

from akeso.clock import system_clock
from akeso.errors import DatabaseAway
from akeso.ingest.reconcile import active
from akeso.ingest.sources import UNNAMED, Sources
from akeso.model.alert import Alert, Signal
from akeso.record import migrate
from akeso.record.incoming import Incoming, Saved
from akeso.record.intake import Intake
from akeso.record.pool import Database, open_pool
from akeso.record.store import Store
from akeso.settings import Settings
from akeso.web.app import WebServices, create_app
from akeso.web.auth import Authenticator, StaticTokens
from akeso.web.receive import Received, Receiver
from akeso.web.server import serve

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(binary() is None, reason="needs prometheus-alertmanager: apt-get install it"),
]
TOKEN = "token-of-this-test-0123456789"


@dataclass
class Place:
    """A receiver on a port, its ledger, and an Alertmanager that posts to it."""

    store: Store
    intake: Intake
    token_file: Path
    away: bool = False
    told: list[Received] = field(default_factory=list)
    alertmanager: str = ""

    async def save(self, items: Sequence[Incoming]) -> list[Saved]:
        if self.away:
            raise DatabaseAway()
        return await self.intake.save(items)

    def route(self, alerts: Sequence[Alert]) -> list[Incoming]:
        return [Incoming(alert) for alert in alerts]

    async def fire(self, name: str, *, ended: bool = False) -> None:
        alert: dict[str, Any] = {"labels": {"alertname": name, "namespace": "shop"}, "annotations": {"summary": "s"}}
        if ended:
            alert["endsAt"] = datetime.now(UTC).isoformat()
        async with httpx.AsyncClient() as http:
            (
                await http.post(
                    f"{self.alertmanager}/api/v2/alerts",
                    content=json.dumps([alert]),
                    headers={"content-type": "application/json"},
                )
            ).raise_for_status()

    async def signal(self, source: str = UNNAMED) -> Signal | None:
        (listed,) = await self.listed()
        found = await self.store.signals_for_fingerprints(listed.still_firing, source=source)
        return found[0] if found else None

    async def listed(self) -> Any:
        async with httpx.AsyncClient() as http:
            return await active(Sources([self.alertmanager]), http)


async def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            found = what()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    await migrate.migrate(database_url)
    database = await open_pool(database_url, 4)
    yield database
    await database.close()


@pytest.fixture
async def place(tmp_path: Path, database: Database) -> AsyncIterator[Place]:
    store = Store(database)
    place = Place(store, Intake(store), tmp_path / "token")
    place.token_file.write_text(TOKEN)
    tokens = tmp_path / "accepted"
    tokens.write_text(TOKEN)
    receiver = Receiver(
        Settings(),
        Authenticator(StaticTokens(tokens)),
        place.route,
        place.save,
        store.beat_heartbeat,
        received=place.told.append,
        clock=system_clock,
    )
    stop, ports = asyncio.Event(), []
    serving = asyncio.create_task(
        serve(create_app(WebServices(receiver)), Settings(listen_port=0), stop=stop, started=ports.append)
    )
    await until(lambda: ports)
    async with running(tmp_path, f"http://127.0.0.1:{ports[0]}/v1/alerts", place.token_file) as place.alertmanager:
        yield place
    stop.set()
    await serving


async def test_a_real_alert_fires_and_resolves_in_the_ledger(place: Place) -> None:
    await place.fire("RealAlert")
    signal = await until(place.signal)
    assert (signal.alert.name, signal.firing, signal.deliveries) == ("RealAlert", True, 1)
    assert signal.alert.receiver == "ops/akeso.v1"
    await place.fire("RealAlert", ended=True)

    async def closed() -> bool:
        again = await place.store.signal(signal.id)
        return again is not None and not again.firing

    await until(closed)


async def test_what_the_api_lists_is_the_same_episode_as_what_was_posted(place: Place) -> None:
    await place.fire("SameEpisode")
    posted = await until(place.signal)
    (listed,) = await place.listed()
    assert listed.complete
    (saved,) = await place.intake.save(place.route(listed.to_save))
    assert (saved.signal_id, saved.new) == (posted.id, False)


async def test_after_503_it_is_sent_again_and_nothing_is_lost(place: Place) -> None:
    place.away = True
    await place.fire("WhileAway")
    await until(lambda: sum(r.outcome == "unavailable" for r in place.told) >= 2)
    assert await place.signal() is None
    place.away = False
    signal = await until(place.signal)
    assert signal.deliveries == 1


async def test_an_alert_whose_webhook_never_came_is_found_by_the_api(place: Place) -> None:
    place.token_file.write_text("not-the-token-0123456789")
    await place.fire("NeverPosted")
    await until(lambda: any(r.outcome == "unauthenticated" for r in place.told))
    assert await place.signal() is None
    (listed,) = await place.listed()
    (saved,) = await place.intake.save(place.route(listed.to_save))
    assert saved.new


async def test_a_token_that_was_rotated_is_used_at_once(place: Place) -> None:
    place.token_file.write_text("not-the-token-0123456789")
    await place.fire("Rotated")
    await until(lambda: any(r.outcome == "unauthenticated" for r in place.told))
    place.token_file.write_text(TOKEN)  # Alertmanager reads the file for each request
    assert (await until(place.signal)).alert.name == "Rotated"


async def test_a_silenced_alert_fires_and_is_not_to_be_acted_on(place: Place) -> None:
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "t",
        "comment": "c",
    }
    async with httpx.AsyncClient() as http:
        (await http.post(f"{place.alertmanager}/api/v2/silences", json=silence)).raise_for_status()
    await place.fire("Quiet")

    async def muted() -> Any:
        (listed,) = await place.listed()
        return listed if listed.muted else None

    listed = await until(muted)
    assert (listed.to_save, len(listed.still_firing)) == ((), 1)
