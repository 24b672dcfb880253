"""An HTTP/1.1 transport for httpx that hands over all that has arrived in one piece (decision 0002)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from urllib.request import getproxies

import httpx

from gateway.providers.chat.bulk_connection import BulkConnection

# Below the five seconds after which common servers close an idle connection, so that none is closed on us.
_IDLE_SECONDS = 4.0
_MAX_IDLE = 100
_NO_TIMEOUT = 86_400.0

Origin = tuple[str, str, int]


def upstream_client(trust_env: bool = True, verify: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """The client that all providers share; follows no redirect and has no limit of connections.

    `trust_env`: go through the proxies that the environment names, if it names any, by httpx's own transport.
    """
    if trust_env and any(getproxies().get(scheme) for scheme in ("http", "https", "all")):
        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=_MAX_IDLE)
        return httpx.AsyncClient(verify=verify or httpx.create_ssl_context(), limits=unlimited)
    return httpx.AsyncClient(transport=BulkTransport(verify), trust_env=False)


class BulkTransport(httpx.AsyncBaseTransport):
    """Mount it as `httpx.AsyncClient(transport=BulkTransport())`.

    httpx's own transport yields a stream's HTTP chunks one by one, which makes the many small chunks of a
    model's answer expensive. This one parses with httptools and joins what is there. It keeps connections
    alive, has no limit of connections, and speaks HTTP/1.1 with and without TLS, but to no proxy:
    `upstream_client` chooses.

    Honours the `connect` and `read` timeouts of a request and raises httpx's errors.
    """

    def __init__(self, verify: ssl.SSLContext | None = None) -> None:
        self._verify = verify
        self._idle: dict[Origin, list[BulkConnection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeouts = request.extensions.get("timeout") or {}
        head = _head(request)
        body = await request.aread()
        url = request.url
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        connection = self._take(origin) or await self._connect(origin, timeouts.get("connect"))
        read = timeouts.get("read") or _NO_TIMEOUT
        try:
            status, headers = await connection.request(head, body, read, request.method == "HEAD")
        except BaseException:
            connection.abort()
            raise
        return httpx.Response(status, headers=headers, stream=_Body(self, origin, connection, read))

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def release(self, origin: Origin, connection: BulkConnection) -> None:
        """Keep a connection whose answer is complete, drop any other."""
        idle = self._idle.setdefault(origin, [])
        if connection.reusable and len(idle) < _MAX_IDLE:
            connection.rest()
            idle.append(connection)
        else:
            connection.abort()

    def _take(self, origin: Origin) -> BulkConnection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.reusable and connection.idle_seconds < _IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, timeout: float | None) -> BulkConnection:
        scheme, host, port = origin
        if scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("only http:// and https:// are spoken")
        try:
            async with asyncio.timeout(timeout):
                _, connection = await asyncio.get_running_loop().create_connection(
                    BulkConnection, host, port, ssl=self._context() if scheme == "https" else None
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("no connection") from error
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._verify is None:
            self._verify = httpx.create_ssl_context()
        return self._verify


class _Body(httpx.AsyncByteStream):
    def __init__(
        self, transport: BulkTransport, origin: Origin, connection: BulkConnection, read: float
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: BulkConnection | None = connection
        self._read = read

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        connection = self._connection
        if connection is None:
            raise httpx.StreamClosed
        while data := await connection.read(self._read):
            yield data
        await self.aclose()

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(self._origin, connection)


def _head(request: httpx.Request) -> bytes:
    """The request line and headers; a line break in a header is refused."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % pair for pair in request.headers.raw if pair[0].lower() != b"transfer-encoding"]
    if "content-length" not in request.headers and "transfer-encoding" in request.headers:
        lines.append(b"content-length: %d" % len(request.content))
    head = b"\r\n".join(lines)
    if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines) or b"\0" in head:
        raise httpx.LocalProtocolError("a header holds a line break")
    return head + b"\r\n\r\n"
