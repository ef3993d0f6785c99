"""Liveness, readiness, metrics, and the server around them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from tests.unit.web.parts import GOOD, Ledger, application, client

from akeso.errors import DatabaseAway, GiveUp
from akeso.settings import Settings
from akeso.web import health
from akeso.web.health import Dependency, Pulse
from akeso.web.server import HEAD_BYTES, serve


async def well() -> str:
    return "3 ms"


async def away() -> str:
    raise DatabaseAway("Postgres did not answer")


async def hangs() -> str:
    await asyncio.sleep(60)
    return ""


async def get(path: str, **services: Any) -> httpx.Response:
    async with client(application(Ledger(), **services)) as http:
        return await http.get(path)


async def test_a_process_that_answers_is_alive() -> None:
    response = await get("/healthz")
    assert response.status_code == 200
    assert response.json()["loopLagSeconds"] == 0


async def test_a_loop_that_is_stalled_is_not_alive() -> None:
    assert (await get("/healthz", pulse=Pulse(lag=9.0))).status_code == 503


async def test_the_pulse_notices_a_blocked_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BEAT_SECONDS", 0.01)
    pulse = Pulse()
    task = asyncio.create_task(pulse.run())
    await asyncio.sleep(0.005)
    time.sleep(0.2)  # noqa: ASYNC251 the blocking is what is measured
    while pulse.worst < 0.1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()


async def test_only_the_database_decides_about_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.05)
    both = [Dependency("database", well, required=True), Dependency("kubernetes", away), Dependency("model", hangs)]
    response = await get("/readyz", dependencies=both)
    assert response.status_code == 200
    assert response.json()["dependencies"]["database"] == {"ok": True, "required": True, "detail": "3 ms"}
    assert "AK-1101" in response.json()["dependencies"]["kubernetes"]["detail"]
    assert "no answer" in response.json()["dependencies"]["model"]["detail"]
    assert (await get("/readyz", dependencies=[Dependency("database", away, required=True)])).status_code == 503


async def test_metrics_are_the_text_that_was_given() -> None:
    response = await get("/metrics", metrics=lambda: b"akeso_up 1\n")
    assert response.text == "akeso_up 1\n"
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")


class Running:
    """The real server on a free port."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.stop, self.port = ledger, asyncio.Event(), 0

    async def __aenter__(self) -> Running:
        self.task = asyncio.create_task(
            serve(
                application(self.ledger),
                Settings(listen_port=0),
                stop=self.stop,
                started=lambda port: setattr(self, "port", port),
            )
        )
        async with httpx.AsyncClient() as http:
            async with asyncio.timeout(10):
                while True:
                    try:
                        await http.get(f"http://127.0.0.1:{self.port}/healthz")
                        return self
                    except httpx.HTTPError:
                        await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 10)


async def test_the_server_answers_and_stops() -> None:
    async with Running(Ledger()) as server, httpx.AsyncClient() as http:
        response = await http.post(f"http://127.0.0.1:{server.port}/v1/alerts", json={"alerts": [GOOD]})
        assert response.status_code == 202
        assert "server" not in response.headers


async def test_a_request_in_flight_is_answered_before_the_server_stops() -> None:
    ledger = Ledger(hang=asyncio.Event())
    async with Running(ledger) as server, httpx.AsyncClient() as http:
        answering = asyncio.create_task(http.post(f"http://127.0.0.1:{server.port}/v1/alerts", json={"alerts": [GOOD]}))
        await asyncio.sleep(0.1)
        server.stop.set()
        await asyncio.sleep(0.1)
        ledger.hang.set()
        assert (await answering).status_code == 202


async def test_a_head_without_end_is_cut_off() -> None:
    async with Running(Ledger()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /v1/alerts HTTP/1.1\r\nhost: x\r\nx-long: ")
        try:
            for _ in range(HEAD_BYTES // 8_192 + 4):
                writer.write(b"a" * 8_192)
                await writer.drain()
            said = await asyncio.wait_for(reader.read(64), 5)
        except ConnectionError:
            said = b""
        writer.close()
        assert said == b"" or b"431" in said


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v1/alerts HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/alerts HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_harms_nobody(raw: bytes) -> None:
    async with Running(Ledger()) as server, httpx.AsyncClient() as http:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        await writer.drain()
        writer.close()
        assert (await http.get(f"http://127.0.0.1:{server.port}/healthz")).status_code == 200


async def test_an_address_in_use_says_what_to_change() -> None:
    async with Running(Ledger()) as server:
        with pytest.raises(GiveUp, match="Cannot listen"):
            await serve(application(Ledger()), Settings(listen_port=server.port))
