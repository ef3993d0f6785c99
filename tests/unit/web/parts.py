"""A receiver with a ledger in memory, and a client that speaks to the app without a socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette

from akeso.model.alert import Alert
from akeso.record.incoming import Incoming, Match, Saved
from akeso.settings import Settings
from akeso.web.app import WebServices, create_app
from akeso.web.auth import Authenticator
from akeso.web.receive import Received, Receiver

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-11-20T12:00:00Z"}


@dataclass
class Ledger:
    """Remembers what was saved; `error` is raised instead, `hang` awaited before."""

    saved: list[Incoming] = field(default_factory=list)
    beats: list[tuple[str, datetime]] = field(default_factory=list)
    told: list[Received] = field(default_factory=list)
    error: Exception | None = None
    hang: Any = None

    async def save(self, items: Sequence[Incoming]) -> list[Saved]:
        if self.hang is not None:
            await self.hang.wait()
        if self.error is not None:
            raise self.error
        self.saved += items
        return [Saved(f"s{n}", True, (f"r{n}",) if item.matches else ()) for n, item in enumerate(items)]

    async def beat(self, source: str, now: datetime) -> None:
        if self.error is not None:
            raise self.error
        self.beats.append((source, now))


def route(alerts: Sequence[Alert]) -> list[Incoming]:
    """Alerts named A start one Workflow."""
    match = Match("shop/Workflow/w", "shop", "w", "t", {}, {})
    return [Incoming(alert, (match,) if alert.name == "A" else ()) for alert in alerts]


def application(
    ledger: Ledger, authenticator: Authenticator | None = None, settings: Settings | None = None, **more: Any
) -> Starlette:
    receiver = Receiver(
        settings or Settings(),
        authenticator or Authenticator(anonymous=True),
        route,
        ledger.save,
        ledger.beat,
        explain=lambda alert: [f"no trigger matches {alert.name}"],
        received=ledger.told.append,
        clock=lambda: NOW,
    )
    return create_app(WebServices(receiver, **more))


def client(app: Starlette, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 40000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://akeso")
