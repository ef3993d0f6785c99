"""POST /v1/alerts: authenticate, read at most so much, parse, match, commit, and only then answer.

Never 2xx before the commit; 503 for whatever may work later, since Alertmanager repeats only after a 5xx.
"""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from akeso.clock import Clock, system_clock
from akeso.errors import AkesoError, DatabaseAway, GiveUp, InvalidInput, TryLater
from akeso.ingest.sources import Sources
from akeso.ingest.webhook import Limits, Notification, parse
from akeso.model.alert import Alert
from akeso.record.incoming import Incoming, Saved
from akeso.settings import Settings
from akeso.web.answers import answer, busy, problem
from akeso.web.auth import Authenticator, Unauthenticated

log = structlog.get_logger("akeso.web")
BODY_SECONDS: Final = 10.0    # Alertmanager sends a body in one go; who takes longer holds a connection for nothing
COMMIT_SECONDS: Final = 1.8   # an answer within two seconds, even where the database hangs
SHOWN: Final = 50


class TooLarge(GiveUp):
    """The body is too large."""

    code = "AK-1208"


class TooSlow(GiveUp):
    """The body took too long."""

    code = "AK-1209"


class NotJson(GiveUp):
    """The content type is not JSON."""

    code = "AK-1210"


@dataclass(frozen=True, slots=True)
class Received:
    """One POST, for metrics.

    outcome  matched, unmatched, heartbeat, invalid, unauthenticated, too_large or unavailable
    """

    outcome: str
    alerts: int = 0
    runs: int = 0
    rejected: int = 0
    truncated: int = 0


@dataclass(slots=True)
class Receiver:
    """What the receiver needs.

    route      alerts → what is to be saved, with the Workflows that each starts (`engine.intake.Router.route`)
    save       commits, then returns what became of each (`record.intake.Intake.save`). Raises DatabaseAway
    heartbeat  (source, now): the always-firing alert came. Raises DatabaseAway
    explain    why this alert starts nothing, for people
    received   told of each POST, for metrics
    """

    settings: Settings
    authenticator: Authenticator
    route: Callable[[Sequence[Alert]], list[Incoming]]
    save: Callable[[Sequence[Incoming]], Awaitable[list[Saved]]]
    heartbeat: Callable[[str, datetime], Awaitable[None]]
    explain: Callable[[Alert], Sequence[str]] = lambda alert: ()
    received: Callable[[Received], None] = lambda received: None
    sources: Sources = field(default_factory=Sources)
    clock: Clock = system_clock

    async def __call__(self, request: Request) -> Response:
        """The endpoint."""
        try:
            await self.authenticator.check(request)
            _check_type(request)
            body = await _body(request, self.settings.webhook_max_bytes)
            notification = parse(body, Limits(self.settings.webhook_max_alerts), identify=self.sources.of)
            if notification.rejected and not notification.alerts:
                raise InvalidInput(
                    "No alert of this notification can be used", why="; ".join(notification.rejected[:SHOWN])[:4_000],
                    next_step="correct the sender; the other alerts of a notification go on without such ones")
            return await self._commit(notification)
        except AkesoError as error:
            return self._refuse(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    def _refuse(self, error: AkesoError) -> Response:
        status, outcome = next(
            ((status, outcome) for kind, status, outcome in _STATUS if isinstance(error, kind)), (503, "unavailable"))
        self.received(Received(outcome))
        log.warning("notification refused", status=status, code=error.code, what=error.what, why=error.why[:500])
        if status == 503:
            return busy(error, error.after if isinstance(error, TryLater) else 1.0)
        headers = {"WWW-Authenticate": 'Bearer realm="akeso"'} if status == 401 else {}
        if status in (408, 413):
            headers["Connection"] = "close"  # the rest of the body was not read
        return problem(status, error, headers)

    async def _commit(self, notification: Notification) -> Response:
        beats = [a for a in notification.alerts if a.name == self.settings.heartbeat_alert]
        alerts = [a for a in notification.alerts if a.name != self.settings.heartbeat_alert]
        items = self.route(alerts)
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                if any(a.status == "firing" for a in beats):
                    await self.heartbeat(notification.source, self.clock())
                saved = await self.save(items) if items else []
        except TimeoutError as error:
            raise DatabaseAway(
                "The alerts could not be committed in time", why=f"no commit within {COMMIT_SECONDS:g} s",
                next_step="send it again; what was committed after all is recognised") from error
        return self._accepted(notification, items, saved, len(beats))

    def _accepted(
        self, notification: Notification, items: Sequence[Incoming], saved: Sequence[Saved], beats: int,
    ) -> Response:
        runs = [run for one in saved for run in one.run_ids]
        rejected = [*notification.rejected, *(one.rejected for one in saved if one.rejected)]
        matched = sum(1 for item in items if item.matches)
        outcome = "matched" if matched else "unmatched" if items else "heartbeat"
        self.received(Received(outcome, len(items), len(runs), len(rejected), notification.truncated))
        if notification.truncated:
            log.warning("alerts were left out by max_alerts or our limit", truncated=notification.truncated)
        body: dict[str, Any] = {"accepted": len(notification.alerts), "matched": matched, "runs": runs}
        if rejected:
            body["rejected"] = rejected[:SHOWN]
            log.warning("alerts rejected", count=len(rejected), first=rejected[0][:500])
        if notification.truncated:
            body["truncated"] = notification.truncated
        if beats:
            body["heartbeats"] = beats
        if not matched and items:
            body["why"] = list(self.explain(items[0].alert))
        return answer(202 if matched else 200, body)


_STATUS: Final[tuple[tuple[type[AkesoError], int, str], ...]] = (
    (Unauthenticated, 401, "unauthenticated"),
    (TooLarge, 413, "too_large"),
    (TooSlow, 408, "invalid"),
    (NotJson, 415, "invalid"),
    (InvalidInput, 400, "invalid"),
)


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    encoded = request.headers.get("content-encoding", "identity").lower()
    if kind not in ("", "application/json") and not kind.endswith("+json"):
        raise NotJson("The content type is not JSON", why=given[:120], next_step="send Content-Type: application/json")
    if encoded not in ("", "identity"):
        raise NotJson("The body is encoded", why=encoded[:120], next_step="send it without Content-Encoding")


async def _body(request: Request, limit: int) -> bytes:
    too_large = TooLarge(
        "The body is too large", why=f"more than {limit} bytes",
        next_step="group alerts by fewer, or set max_alerts of the receiver, or raise AKESO_WEBHOOK_MAX_BYTES")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and (len(length) > 12 or int(length) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError as error:
        raise TooSlow("The body took too long", why=f"not complete after {BODY_SECONDS:g} s") from error
    return bytes(body)
