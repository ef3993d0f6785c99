"""Serve the application with uvicorn, and stop gracefully."""
from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from akeso.errors import GiveUp
from akeso.settings import Settings

GRACE_SECONDS: Final = 5        # requests in flight may finish; a commit takes two seconds at most
KEEP_ALIVE_SECONDS: Final = 75  # longer than a group interval of a minute: Alertmanager keeps its connection
BACKLOG: Final = 512
HEAD_BYTES: Final = 65_536      # a ServiceAccount token is one or two thousand
CONNECTIONS: Final = 1_000      # beyond that uvicorn answers 503 by itself


class _Bounded(HttpToolsProtocol):
    """uvicorn's protocol sets no bound on the head of a request; this one closes what does not come to its end."""

    _head_bytes = 0
    _in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
                self.transport.close()


class _Server(uvicorn.Server):
    """Signals belong to the whole process, not to its web server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def serve(
    app: Any, settings: Settings, *, stop: asyncio.Event | None = None, started: Callable[[int], None] | None = None,
) -> None:
    """Serve until `stop` is set or the task is cancelled; requests in flight are answered first.

    started  told the port once it is open (settings.listen_port 0 takes a free one)
    Raises GiveUp where the address cannot be listened on.
    """
    server = _Server(uvicorn.Config(
        app, lifespan="off", access_log=False, log_config=None, server_header=False, date_header=False,
        proxy_headers=False,  # a header must not turn a stranger into a loopback peer
        timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=GRACE_SECONDS, limit_concurrency=CONNECTIONS,
        backlog=BACKLOG, http=_Bounded, ws="none",
    ))
    listening = _listen(settings.listen_host, settings.listen_port)
    if started is not None:
        started(listening.getsockname()[1])
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="web")
    waiting = asyncio.create_task((stop or asyncio.Event()).wait(), name="web-stop")
    try:
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        server.should_exit = True
        await asyncio.shield(serving)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its name: asyncio switches Nagle's delay off only where the protocol is named, and head and body of an answer
    # are two packets. Without, each POST waits 40 ms for a delayed acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise GiveUp(
            f"Cannot listen on {host}:{port}", why=str(error.strerror or error),
            next_step="set AKESO_LISTEN_HOST and AKESO_LISTEN_PORT to a free address") from error
    listening.set_inheritable(False)
    return listening
