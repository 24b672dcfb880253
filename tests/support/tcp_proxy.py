"""A TCP proxy that delays, slices, throttles, drops, cuts and resets on request.

async with tcp_proxy(database_url) as proxy:
    proxy.url                   # the same address, by way of the proxy
    proxy.latency = 0.1         # seconds each way, for all bytes from now on
    proxy.black_hole()          # connections stay open, and nothing passes any more; `flow()` ends it
    proxy.reset()               # RST on every connection
    await proxy.stop()          # nobody listens; `start()` takes the same port again
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

_DEFAULT_PORTS = {"redis": 6379, "postgresql+asyncpg": 5432, "http": 80}
_POSTGRES_SOCKET = ".s.PGSQL.5432"


class TcpProxy:
    """Relays bytes both ways; what it does to them may be changed at any time.

    `latency`: seconds by which every piece arrives late, each way. `bandwidth`: bytes a second, each way and
    connection (0: no limit). `slice`: bytes of the largest piece that is passed on at once (0: as they come).
    `connections` counts those accepted. `held` is set when an answer waits because nothing flows.
    """

    def __init__(self, url: str) -> None:
        self._given = url
        self.latency = 0.0
        self.bandwidth = 0
        self.slice = 0
        self.connections = 0
        self.held = asyncio.Event()
        self.port = 0
        self._asking, self._answering = asyncio.Event(), asyncio.Event()
        self.flow()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address that was given, with the proxy in the place of the server."""
        return replace_port(self._given, self.port)

    def black_hole(self) -> None:
        """Nothing arrives any more, in neither direction; new connections are accepted and fare the same."""
        self._asking.clear()
        self.hold_responses()

    def hold_responses(self) -> None:
        """What is asked still arrives; what is answered waits, and `held` is set once something does."""
        self.held.clear()
        self._answering.clear()

    def flow(self) -> None:
        """Pass on what waits, and all that follows."""
        self._asking.set()
        self._answering.set()

    def reset(self) -> int:
        """Reset every connection, as a crashed machine or a firewall does; how many those were."""
        count = 0
        for writer in list(self._writers):
            sock: socket.socket = writer.get_extra_info("socket")
            if sock.family != socket.AF_UNIX:
                count += 1
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return count

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Refuse new connections and cut those there are; `start` takes the same port again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            source, upstream = await _connect(self._given)
            self._writers.add(upstream)
            asked = asyncio.create_task(self._relay(reader, upstream, self._asking))
            answered = asyncio.create_task(self._relay(source, writer, self._answering, self.held))
            try:
                await asyncio.wait({asked, answered}, return_when=asyncio.FIRST_COMPLETED)
                if asked.done() and not answered.done():  # the client has said all; let it hear the rest
                    with suppress(OSError, RuntimeError):
                        upstream.write_eof()
                    await asyncio.wait({answered}, timeout=5)
            finally:
                for side in (asked, answered):
                    side.cancel()
                await asyncio.gather(asked, answered, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens behind us, or the proxy is being stopped
        finally:
            for end in filter(None, (writer, upstream)):
                end.close()
                self._writers.discard(end)
            self._tasks.discard(task)

    async def _relay(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        flowing: asyncio.Event,
        held: asyncio.Event | None = None,
    ) -> None:
        """Until the source ends; a delayed piece does not delay those behind it once more."""
        loop = asyncio.get_running_loop()
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def deliver() -> None:
            while True:
                due, data = await line.get()
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                if data and not flowing.is_set():
                    if held is not None:
                        held.set()
                    await flowing.wait()
                if not data:
                    return
                for piece in self._pieces(data):
                    sink.write(piece)
                    await sink.drain()
                    if self.bandwidth:
                        await asyncio.sleep(len(piece) / self.bandwidth)

        delivering = asyncio.create_task(deliver())
        try:
            while data := await source.read(65536):
                await line.put((loop.time() + self.latency, data))
            await line.put((loop.time() + self.latency, b""))
            await delivering
        except OSError:
            return  # one side was reset
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self.slice or (4096 if self.bandwidth else len(data))
        return [data[at : at + size] for at in range(0, len(data), size)]


@asynccontextmanager
async def tcp_proxy(url: str) -> AsyncIterator[TcpProxy]:
    """A running proxy in front of the server at `url`: PostgreSQL's, Valkey's (also on a socket) or HTTP."""
    proxy = await TcpProxy(url).start()
    try:
        yield proxy
    finally:
        proxy.flow()
        await proxy.stop()


def replace_port(url: str, port: int) -> str:
    """`url` with 127.0.0.1 and `port` in the place of its server."""
    parts = urlsplit(url)
    if parts.scheme == "unix":  # redis-py: the path is the socket's
        number = parse_qs(parts.query).get("db", ["0"])[0]
        return f"redis://127.0.0.1:{port}/{number}"
    user, at, _ = parts.netloc.rpartition("@")
    query = "" if parts.scheme.startswith("postgresql") else parts.query
    path = parts.path
    if parts.scheme == "redis" and "db" in parse_qs(parts.query):
        path, query = f"/{parse_qs(parts.query)['db'][0]}", ""
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{port}", path=path, query=query).geturl()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0] if parts.scheme.startswith("postgresql") else ""
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(unquote(parts.path))
    if folder.startswith("/"):
        return await asyncio.open_unix_connection(str(Path(folder) / _POSTGRES_SOCKET))
    return await asyncio.open_connection(folder or parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme])
