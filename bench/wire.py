"""A minimal HTTP/1.1 client: one keep-alive connection, complete replies, arrival times."""

from __future__ import annotations

import asyncio
import re
import time
from typing import cast

from bench.answers import MARKER

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_END = b"\r\n0\r\n\r\n"


class Reply:
    """A complete response; times are seconds of `time.perf_counter`."""

    __slots__ = ("arrivals", "body", "done_at", "first_at", "sent_at", "status")

    def __init__(self, sent_at: float) -> None:
        self.sent_at = sent_at
        self.first_at = 0.0
        self.done_at = 0.0
        self.status = 0
        self.body = b""
        self.arrivals: list[float] = []


class Connection(asyncio.Protocol):
    """Sends one request at a time; `arrivals` has the time of each read with a part of the answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._reply = Reply(0.0)
        self._buffer = bytearray()
        self._body_at = 0
        self._length: int | None = None

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def exchange(self, request: bytes) -> asyncio.Future[Reply]:
        """Send a request; the future has the reply, or a ConnectionError."""
        waiter: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            waiter.set_exception(ConnectionResetError("not connected"))
            return waiter
        self._waiter, self._buffer, self._body_at, self._length = waiter, bytearray(), 0, None
        self._reply = Reply(time.perf_counter())
        self._transport.write(request)
        return waiter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has the methods, but not the base class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError("closed before the end of the reply"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if MARKER in data:
            now = time.perf_counter()
            self._reply.first_at = self._reply.first_at or now
            self._reply.arrivals.append(now)
        if not self._body_at and not self._read_head():
            return
        if self._length is None:
            finished = self._buffer.endswith(_END)
        else:
            finished = len(self._buffer) - self._body_at >= self._length
        if finished:
            self._finish()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._body_at = end + 4
        self._reply.status = int(self._buffer[9:12])
        length = _LENGTH.search(self._buffer, 0, end + 2)
        if length:
            self._length = int(length.group(1))
        elif not _CHUNKED.search(self._buffer, 0, end + 2):
            self._length = 0
        return True

    def _finish(self) -> None:
        reply = self._reply
        reply.done_at = time.perf_counter()
        reply.body = bytes(self._buffer[self._body_at :])
        if self._length is None:
            reply.body = _decode_chunked(reply.body)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(reply)


def _decode_chunked(body: bytes) -> bytes:
    """Return the body without the framing of chunked transfer."""
    parts: list[bytes] = []
    at = 0
    while True:
        line = body.index(b"\r\n", at)
        size = int(body[at:line].split(b";")[0], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[line + 2 : line + 2 + size])
        at = line + 4 + size


def post(path: str, key: str, body: bytes) -> bytes:
    """Build a POST with a JSON body and a bearer token."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str, key: str = "") -> bytes:
    """Build a GET."""
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{authorization}\r\n".encode()
