"""Prometheus and Alertmanager as clients see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest

from akeso.errors import GiveUp, InvalidInput, TryLater
from akeso.ingest.metrics import MAX_BYTES, PrometheusReader, selector
from akeso.ingest.reconcile import Active, active
from akeso.ingest.sources import UNNAMED, Sources

LISTED = (Path(__file__).parents[2] / "data" / "alertmanager" / "0.25-api-alerts.real.json").read_bytes()
Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def test_label_values_are_escaped() -> None:
    assert selector("m", {"a": 'x"} or vector(1) #\\\n'}) == 'm{a="x\\"} or vector(1) #\\\\\\n"}'


@pytest.mark.parametrize(("metric", "label"), [("m{}", "a"), ("m", "a b"), ("", "a"), ("m", "é"), ("m-x", "a")])
def test_what_is_no_name_is_not_sent(metric: str, label: str) -> None:
    with pytest.raises(InvalidInput):
        selector(metric, {label: "v"})


async def test_a_matrix_becomes_series_without_stale_samples() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content.decode())
        values = [[1.5, "5e7"], [2.0, "NaN"], [3.0, "+Inf"], [4, "7"]]
        return httpx.Response(
            200,
            json={
                "status": "success",
                "data": {
                    "resultType": "matrix",
                    "result": [{"metric": {"__name__": "m", "pod": "p"}, "values": values}],
                },
            },
        )

    async with client(answer) as http:
        (one,) = await PrometheusReader("http://p:9090/", client=http).select("m", {"pod": "p"}, minutes=5)
    assert one.values == ((1.5, 5e7), (4.0, 7.0))
    assert "query=m%7Bpod%3D%22p%22%7D%5B5m%5D" in asked[0]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(503), TryLater),
        (httpx.Response(429), TryLater),
        (httpx.Response(200, content=b"<html>"), TryLater),
        (httpx.Response(200, json=[1]), TryLater),
        (httpx.Response(200, json={"status": "success", "data": {}}), TryLater),
        (httpx.Response(400, json={"status": "error", "error": "bad_data"}), GiveUp),
        (httpx.Response(200, content=b" " * (MAX_BYTES + 1)), GiveUp),
    ],
)
async def test_what_cannot_be_read_is_an_error_of_ours(response: httpx.Response, error: type[Exception]) -> None:
    async with client(lambda _: response) as http:
        with pytest.raises(error):
            await PrometheusReader("http://p", client=http).select("m", {})


async def test_a_prometheus_that_is_away_is_tried_later() -> None:
    reader = PrometheusReader("http://127.0.0.1:9", timeout=0.5)
    with pytest.raises(TryLater):
        await reader.select("m", {})
    await reader.close()


async def listed(answer: Answer, *urls: str) -> list[Active]:
    async with client(answer) as http:
        return await active(Sources(urls or ("http://a:9093",)), http)


async def test_the_api_s_list_becomes_alerts_of_the_webhook_s_source() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/am/api/v2/alerts"
        assert dict(request.url.params) == {"active": "true", "silenced": "true", "inhibited": "true"}
        return httpx.Response(200, content=LISTED)

    (one,) = await listed(answer, "http://a:9093/am/")
    assert (one.source, one.complete, one.still_firing) == (UNNAMED, True, ["f70783126dfcd15b"])
    assert one.to_save[0].labels["namespace"] == "shop"


async def test_a_silenced_alert_fires_and_is_not_acted_on() -> None:
    raw = orjson.loads(LISTED)
    raw[0]["status"]["state"] = "suppressed"
    (one,) = await listed(lambda _: httpx.Response(200, json=raw))
    assert (one.to_save, one.still_firing) == ((), ["f70783126dfcd15b"])


async def test_members_of_a_cluster_are_one_list_and_complete_only_together() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=LISTED) if request.url.host == "a" else httpx.Response(500)

    (one,) = await listed(answer, "http://x=http://a:9093", "http://x=http://b:9093")
    assert (one.source, len(one.alerts), one.complete) == ("http://x", 1, False)
    assert "HTTP 500" in one.problems[0]


@pytest.mark.parametrize("body", [b"{}", b"<html>", b"", b"[1]", b'[{"labels":{}}]'])
async def test_a_list_that_cannot_be_read_resolves_nothing(body: bytes) -> None:
    (one,) = await listed(lambda _: httpx.Response(200, content=body))
    assert (one.alerts, one.complete) == ((), False)
    assert one.problems
