"""One HTTP/1.1 connection on asyncio and httptools: a request out, its answer in as it arrives."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import httpx

_MAX_HEAD = 64 * 1024
# Unread bytes at which the vendor is asked, by TCP, to wait.
_HIGH_WATER = 256 * 1024

Headers = list[tuple[bytes, bytes]]


class BulkConnection(asyncio.Protocol):
    """One exchange at a time; `reusable` says whether another may follow."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: httpx.TransportError | None = None
        self._idle_since = 0.0
        self._busy = False
        self._lost = False
        self._paused = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: Headers = []
        self._head_size = 0
        self._framed = False
        self._headed = False
        self._complete = False
        self._status = 0
        self._keep_alive = False
        self._surplus = False  # bytes that no request asked for
        self._chunks: list[bytes] = []
        self._unread = 0

    # What the transport uses.

    @property
    def reusable(self) -> bool:
        good = self._complete and self._keep_alive and not self._surplus
        return good and not self._lost and self._error is None

    @property
    def idle_seconds(self) -> float:
        return self._loop.time() - self._idle_since

    async def request(self, head: bytes, body: bytes, timeout: float, bodyless: bool) -> tuple[int, Headers]:
        """Send and wait for the answer's head: (status, headers).

        Raises:
            httpx.TransportError: the connection or the head was no good, or nothing came in `timeout` s.
        """
        self._begin()
        self._busy = True
        assert self._transport is not None
        self._transport.write(head + body)
        while not self._headed:
            await self._wait(timeout)
        if bodyless:
            self._complete = True
        return self._status, self._headers

    async def read(self, timeout: float) -> bytes:
        """All of the body that has arrived and was not read; b"" at its end; raises as `request` does."""
        while not self._chunks:
            if self._complete:
                return b""
            await self._wait(timeout)
        data = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._chunks.clear()
        self._unread = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def rest(self) -> None:
        """Begin to be idle."""
        self._busy = False
        self._idle_since = self._loop.time()

    def abort(self) -> None:
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, timeout: float) -> None:
        if self._error is not None:
            raise self._error
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout, self._fail, httpx.ReadTimeout("nothing came in time"))
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        if self._error is not None and not self._chunks and not self._complete:
            raise self._error

    def _fail(self, error: httpx.TransportError) -> None:
        if self._error is None:
            self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._busy or self._complete:
            self.abort()  # bytes that no request asked for
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("the answer is not HTTP/1.1"))
            self.abort()
            return
        if self._unread > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._complete:
            return
        if exc is None and self._headed and not self._framed:
            self._complete = True  # a body that ends with its connection
            self._wake()
        elif self._headed or exc is not None:
            self._fail(httpx.ReadError("the connection was cut within the answer"))
        else:
            self._fail(httpx.RemoteProtocolError("the server closed without an answer"))

    # httptools' side.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > _MAX_HEAD:
            raise ValueError("the head of the answer is too large")
        folded = name.lower()
        if folded == b"content-length" or (folded == b"transfer-encoding" and b"chunked" in value.lower()):
            self._framed = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._headed = True
            self._framed = self._framed or self._status in (204, 304)
        else:
            self._headers.clear()  # `100 Continue` and its like: the answer is still to come

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._chunks.append(body)
            self._unread += len(body)

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_message_complete(self) -> None:
        if self._headed and not self._complete:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()
