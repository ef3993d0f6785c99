"""A TCP proxy that loses requests or responses, whole and on purpose. TLS passes through it untouched."""
from __future__ import annotations

import asyncio
from typing import Literal

Loss = Literal["", "request", "response"]


class Cutter:
    """Forwards to an API server. `lose` arms it for the next exchange on a connection that is open already:

    request   the client's bytes are swallowed and the connection is closed: nothing was applied
    response  the request is forwarded and executed; its answer is swallowed and the connection is closed
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.lose: Loss = ""
        self.lost: list[Loss] = []

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        try:
            pumps = [
                asyncio.create_task(self._pump(reader, up_writer, "request")),
                asyncio.create_task(self._pump(up_reader, writer, "response")),
            ]
            _, left = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in left:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except asyncio.CancelledError:
            pass
        finally:
            for end in (writer, up_writer):
                end.close()
            self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: Loss) -> None:
        while data := await reader.read(65536):
            if self.lose == what:
                self.lose = ""
                self.lost.append(what)
                return
            writer.write(data)
            await writer.drain()
