"""A proxy in front of Valkey that hangs, cuts and delays on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class SlowProxy:
    """Relays bytes both ways; what the server says waits while `flowing` is cleared."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.held = asyncio.Event()  # set when an answer waits
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        database = parse_qs(self._target.query).get("db", [self._target.path.strip("/") or "0"])[0]
        number = database if self._target.scheme == "unix" else self._target.path.strip("/") or database
        return f"redis://127.0.0.1:{self.port}/{number}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuses new connections and cuts those there are; `start` takes the same port again."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._target.scheme == "unix":
            upstream = await asyncio.open_unix_connection(self._target.path)
        else:
            upstream = await asyncio.open_connection(self._target.hostname, self._target.port or 6379)
        self._writers |= {writer, upstream[1]}
        answers = asyncio.create_task(self._relay(upstream[0], writer, held=True))
        with suppress(OSError):
            await self._relay(reader, upstream[1], held=False)
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        for end in (writer, upstream[1]):
            end.close()
            self._writers.discard(end)

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, held: bool) -> None:
        while data := await source.read(65536):
            if held and not self.flowing.is_set():
                self.held.set()
                await self.flowing.wait()
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def slow_proxy(target: str) -> AsyncIterator[SlowProxy]:
    proxy = SlowProxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        proxy.flowing.set()
        await proxy.stop()
