"""The Prometheus behind the MetricReader port: plain selectors over a window, bounded in time and in size."""
from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import orjson

from akeso.errors import GiveUp, InvalidInput, TryLater
from akeso.model.evidence import Series

MAX_BYTES: Final = 4 * 1_048_576   # an hour of 15-second samples of about 400 series
MAX_SERIES: Final = 500
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class PrometheusReader:
    """Reads `/api/v1/query` of one Prometheus (or what speaks its API).

    url      such as http://prometheus:9090, with the path prefix where it has one
    timeout  seconds for one whole query; Prometheus is told the same
    client   where given, owned by the caller
    """

    def __init__(self, url: str, *, timeout: float = 3.0, client: httpx.AsyncClient | None = None) -> None:
        self._own = client is None
        self._client = client or httpx.AsyncClient()
        self._url = url.rstrip("/") + "/api/v1/query"
        self._timeout = timeout

    async def close(self) -> None:
        """Close the connections, unless the client is the caller's."""
        if self._own:
            await self._client.aclose()

    async def select(self, metric: str, labels: Mapping[str, str], *, minutes: int = 60) -> Sequence[Series]:
        """The series that match with their raw samples. Raises TryLater, GiveUp (too much, or refused)."""
        form = {"query": f"{selector(metric, labels)}[{int(minutes)}m]", "timeout": f"{self._timeout:g}s"}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream("POST", self._url, data=form, timeout=self._timeout) as response,
            ):
                body = await self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise TryLater("Prometheus did not answer", why=f"{type(error).__name__} {error}"[:300]) from error
        if response.status_code in (429, 500, 502, 503, 504):
            raise TryLater("Prometheus cannot answer now", why=f"HTTP {response.status_code}")
        return _series(response.status_code, body)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                raise GiveUp("Prometheus answered with too much", why=f"more than {MAX_BYTES} bytes")
        return bytes(body)


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """`metric{a="b"}` with the values escaped: they are label values of alerts, which anybody may have written."""
    if not _METRIC.fullmatch(metric) or not all(_LABEL.fullmatch(name) for name in labels):
        raise InvalidInput("Not a metric selector", why=f"{metric!r} {sorted(labels)!r}"[:300])
    return metric + "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _series(status: int, body: bytes) -> Sequence[Series]:
    try:
        answer: Any = orjson.loads(body)
        if answer["status"] != "success":
            raise GiveUp("Prometheus refused the query", why=f"HTTP {status} {answer.get('error', '')}"[:300])
        return [
            Series({str(k): str(v) for k, v in one["metric"].items()}, _samples(one["values"]))
            for one in answer["data"]["result"][:MAX_SERIES]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TryLater("Prometheus gave an answer that cannot be read", why=f"HTTP {status}") from error


def _samples(values: Sequence[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    """Samples without staleness markers and other numbers that cannot be compared."""
    pairs = ((float(at), float(value)) for at, value in values)
    return tuple(pair for pair in pairs if math.isfinite(pair[1]))
