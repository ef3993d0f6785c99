"""What fires now, by Alertmanager's own API: the alerts whose webhook never came (reliability.md A.2).

An alert that fires while every replica of Akeso is away is delivered again only if it still fires at the next group
interval; one that resolves meanwhile is never reported as resolved. Both are found here.
"""
from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from akeso.errors import AkesoError, InvalidInput, TryLater
from akeso.ingest.sources import Sources
from akeso.ingest.webhook import alert_from
from akeso.model.alert import Alert

MAX_BYTES: Final = 32 * 1_048_576  # 10,000 alerts with long annotations are about 15 MB
_QUERY: Final = {"active": "true", "silenced": "true", "inhibited": "true"}


@dataclass(frozen=True, slots=True)
class Active:
    """What one source lists.

    alerts    to be saved like those of a webhook; silenced and inhibited ones only keep their signals open
    muted     fingerprints of those: they fire, yet nobody wants to act on them
    complete  every member answered and nothing was cut: what is not listed has resolved
    problems  for the log and the health page
    """

    source: str
    alerts: tuple[Alert, ...] = ()
    muted: frozenset[str] = frozenset()
    complete: bool = False
    problems: tuple[str, ...] = ()

    @property
    def to_save(self) -> tuple[Alert, ...]:
        """Those that a webhook would have brought."""
        return tuple(alert for alert in self.alerts if alert.fingerprint not in self.muted)

    @property
    def still_firing(self) -> Sequence[str]:
        """Fingerprints of all that fire. Only where `complete`, every other signal of the source has resolved."""
        return sorted({alert.fingerprint for alert in self.alerts})


async def active(sources: Sources, client: httpx.AsyncClient, *, timeout: float = 10.0) -> list[Active]:
    """What each configured source lists now, the members of a cluster taken together. Raises nothing."""
    members = [(url, source) for url, source in sources.read]
    answers = await asyncio.gather(*(_member(client, url, source, timeout) for url, source in members))
    return [_together(source, answers, sources) for source in dict.fromkeys(source for _, source in members)]


def _together(source: str, answers: Sequence[Active], sources: Sources) -> Active:
    own = [answer for answer in answers if answer.source == source]
    alerts = {(a.fingerprint, a.starts_at): a for answer in own for a in answer.alerts}
    return Active(
        source, tuple(alerts.values()), frozenset().union(*(answer.muted for answer in own)),
        all(answer.complete for answer in own) and sources.certain(source),
        tuple(problem for answer in own for problem in answer.problems),
    )


async def _member(client: httpx.AsyncClient, url: str, source: str, timeout: float) -> Active:
    try:
        async with asyncio.timeout(timeout):
            listed = await _read(client, url, timeout)
    except (AkesoError, TimeoutError) as error:
        return Active(source, problems=(f"{url}: {error or 'no answer within the deadline'}",))
    alerts, muted, problems = [], set(), []
    for raw in listed:
        try:
            alert = alert_from(raw, status="firing", source=source)
        except InvalidInput as error:
            problems.append(f"{url}: {error.why}")
            continue
        alerts.append(alert)
        if _state(raw) == "suppressed":
            muted.add(alert.fingerprint)
    return Active(source, tuple(alerts), frozenset(muted), not problems, tuple(problems[:20]))


async def _read(client: httpx.AsyncClient, url: str, timeout: float) -> list[Any]:
    try:
        async with client.stream("GET", f"{url}/api/v2/alerts", params=_QUERY, timeout=timeout) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise TryLater("Alertmanager listed too much", why=f"more than {MAX_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TryLater("Alertmanager did not answer", why=f"{type(error).__name__} {error}"[:300]) from error
    if response.status_code != 200:
        raise TryLater("Alertmanager did not list its alerts", why=f"HTTP {response.status_code}")
    try:
        listed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TryLater("Alertmanager gave an answer that cannot be read", why=str(error)[:200]) from error
    if not isinstance(listed, list):
        raise TryLater("Alertmanager gave an answer that cannot be read", why="it is not a list")
    return listed


def _state(raw: Mapping[str, Any]) -> str:
    status = raw.get("status")
    return str(status.get("state", "")) if isinstance(status, dict) else ""
