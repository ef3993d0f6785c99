"""Channels, against a real HTTP server."""
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from akeso.engine.notifier import Channels
from akeso.errors import AkesoError, GiveUp, InvalidInput, TryLater


class Hook(BaseHTTPRequestHandler):
    status = 200
    got: list[tuple[dict[str, str], Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).got.append((dict(self.headers), json.loads(body)))
        self.send_response(type(self).status)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def hook() -> Iterator[tuple[str, type[Hook]]]:
    class Mine(Hook):
        got: list[tuple[dict[str, str], Any]] = []  # noqa: RUF012 a class of its own for each test
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x", Mine
    server.shutdown()
    thread.join()
    server.server_close()


async def tell(url: str, channel: str = "oncall") -> None:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client:
        await Channels({"oncall": url}, client).notify(channel, "hello", {"run": "r"}, key="k/1")


async def test_a_message_goes_out_with_its_key(hook: tuple[str, type[Hook]]) -> None:
    await tell(hook[0])
    headers, body = hook[1].got[0]
    assert body == {"text": "hello", "run": "r"}
    assert headers["Idempotency-Key"] == "k/1"


@pytest.mark.parametrize(("status", "error"), [(500, TryLater), (429, TryLater), (404, GiveUp), (302, GiveUp)])
async def test_answers_are_sorted_by_what_to_do_next(
    hook: tuple[str, type[Hook]], status: int, error: type[AkesoError],
) -> None:
    hook[1].status = status
    with pytest.raises(error, match=str(status)):
        await tell(hook[0])
    assert len(hook[1].got) == 1  # a redirect is not followed


async def test_a_channel_that_is_away_or_unknown_is_told() -> None:
    with pytest.raises(TryLater, match="did not answer"):
        await tell("http://127.0.0.1:9/")
    with pytest.raises(GiveUp, match="AKESO_CHANNELS_FILE"):
        await tell("http://127.0.0.1:9/", "nobody")


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {}}', '{"a": {"url": "file:///etc/passwd"}}', "{",
                                  '{"a": {"url": "http://[::1"}}'])
async def test_a_channels_file_that_cannot_be_used_says_how_to_write_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "channels.json"
    file.write_text(text)
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(InvalidInput, match="https://"):
            Channels.from_file(str(file), client)


async def test_a_channels_file_names_channels(tmp_path: Path, hook: tuple[str, type[Hook]]) -> None:
    file = tmp_path / "channels.json"
    file.write_text(json.dumps({"oncall": {"url": hook[0]}}))
    async with httpx.AsyncClient(trust_env=False) as client:
        await Channels.from_file(str(file), client).notify("oncall", "m", {}, key="k")
        with pytest.raises(GiveUp):
            await Channels.from_file("", client).notify("oncall", "m", {}, key="k")
    assert len(hook[1].got) == 1
