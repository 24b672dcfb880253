"""The static upstream: an OpenAI-compatible server that writes prebuilt bytes (`-m bench.upstream PORT`)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections.abc import Callable
from typing import cast

import uvloop

from bench import answers

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream" *: *true')
_USAGE = re.compile(rb'"include_usage" *: *true')
_SLOW = re.compile(rb'"model" *: *"slow"')

_MODELS = answers.plain(
    200,
    json.dumps(
        {"object": "list", "data": [{"id": m, "object": "model"} for m in ("static", "slow")]}
    ).encode(),
)
_MISSING = answers.plain(404, b'{"error":{"message":"no such path","type":"invalid_request_error"}}')
_WHOLE = answers.whole("static", answers.TOKENS)
_SLOW_WHOLE = answers.whole("slow", answers.SLOW_TOKENS)
_FAST_STREAM = {usage: answers.streamed("static", answers.TOKENS, usage) for usage in (False, True)}
_SLOW_STREAM = {usage: answers.streamed("slow", answers.SLOW_TOKENS, usage) for usage in (False, True)}


class Counters:
    """Counts of served requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.streams = 0
        self.chunks = 0

    def render(self) -> bytes:
        return answers.plain(200, json.dumps(vars(self)).encode())


class StaticServer(asyncio.Protocol):
    """One keep-alive connection; requests are answered in order."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport has the methods, but not the base class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end + 2)
        total = end + 4 + (int(length.group(1)) if length else 0)
        if len(self._buffer) < total:
            return
        request, self._buffer = self._buffer[:total], self._buffer[total:]
        self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"POST /v1/chat/completions"):
            self._counters.requests += 1
            slow = _SLOW.search(request) is not None
            if _STREAM.search(request):
                self._counters.streams += 1
                usage = _USAGE.search(request) is not None
                self._stream((_SLOW_STREAM if slow else _FAST_STREAM)[usage], slow)
            else:
                self._write(_SLOW_WHOLE if slow else _WHOLE)
        elif request.startswith(b"GET /v1/models"):
            self._write(_MODELS)
        elif request.startswith(b"GET /stats"):
            self._write(self._counters.render())
        else:
            self._write(_MISSING)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _stream(self, writes: list[bytes], slow: bool) -> None:
        """Write one chunk per iteration of the loop, because uvloop merges the writes of one iteration."""
        position, last = 0, len(writes) - 1

        def step() -> None:
            nonlocal position
            if self._transport is None:
                return
            self._transport.write(writes[position])
            if 0 < position < last:
                self._counters.chunks += 1
            position += 1
            if position <= last:
                schedule(step)

        def schedule_with_pause(call: Callable[[], None]) -> None:
            self._loop.call_later(random.uniform(*answers.SLOW_PAUSE_MS) / 1000, call)

        schedule: Callable[[Callable[[], None]], object] = (
            schedule_with_pause if slow else self._loop.call_soon
        )
        step()


async def serve(port: int) -> None:
    """Serve on loopback until cancelled; print `ready PORT` to standard output."""
    counters = Counters()
    server = await asyncio.get_running_loop().create_server(
        lambda: StaticServer(counters), "127.0.0.1", port, backlog=1024
    )
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
