"""Stands between a vendor's SDK and the network, because SDKs swallow cuts, garbage and errors in silence.

The SDK is given a client whose transport is `GuardedExchange`: it sends through the gateway's shared client,
raises the named errors itself, and reads every line that passes, so that a stream that closes without the
vendor's end marker ends in `UpstreamBroken` whatever the SDK would make of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import orjson

from gateway.core.exceptions import GatewayError, UpstreamBroken
from gateway.domain.catalog import Timeouts
from gateway.domain.events import VendorResponse
from gateway.providers.chat import wire
from gateway.providers.chat.answered import answered
from gateway.providers.chat.sse import DONE, EventReader, LineReader, loads
from gateway.providers.chat.token_counts import TokenCounts

# The body is handed on decompressed and re-framed; nobody keeps a vendor's cookies.
_OURS = frozenset({b"accept-encoding", b"content-length", b"transfer-encoding"})
_SHAPES = (ValueError, TypeError, KeyError, IndexError, AttributeError)
_HOP_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"}
)


class VendorMarks(Protocol):
    """What the guard has to know of a vendor's wire format."""

    sse: bool  # server-sent events, else one JSON object a line
    stream_type: str  # part of the content type of a stream

    def is_end(self, data: dict[str, Any]) -> bool:
        """Whether this object of a stream is the end marker.

        Raises:
            GatewayError: it is an error in the middle (`refusals.error_in_stream`).
        """

    def is_answer(self, data: dict[str, Any]) -> bool:
        """Whether this JSON body is a finished answer."""

    def readable(self, data: Any) -> Any:
        """The object in the form that the vendor's SDK reads, where a server has another one."""

    def count(self, data: dict[str, Any], counts: TokenCounts) -> None:
        """Note the tokens that this object of a stream, or this whole answer, tells of."""


class Record(Protocol):
    def record(self, data: dict[str, Any]) -> None:
        """Take in one object of a stream, or a whole answer."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A vendor's good answer: its body is watched while it is read."""

    status: int
    headers: list[tuple[str, str]]
    body: AsyncGenerator[bytes, None]
    response: httpx.Response

    async def aclose(self) -> None:
        """Close the vendor's connection unless the answer has been read to its end."""
        await self.body.aclose()
        await self.response.aclose()


@dataclass(slots=True)
class GuardedCall:
    """What a provider and the guard share during one call.

    `body` overrides fields of the JSON body (None takes one away) where an SDK loses or bends them;
    `exchanges` are closed when the
    call ends in whatever way: SDKs leave that to the garbage collector. `record` is given each object of the
    answer, as the vendor wrote it. `counts` are read from the same objects, since SDKs lose some.
    """

    body: dict[str, Any] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    record: Record | None = None
    counts: TokenCounts = field(default_factory=TokenCounts)
    response: VendorResponse | None = None

    def note(self, data: dict[str, Any], marks: VendorMarks) -> None:
        """Take in one object of the answer."""
        marks.count(data, self.counts)
        if self.response is None:
            self.response = answered(data)
        if self.record is not None:
            self.record.record(data)

    async def aclose(self) -> None:
        for exchange in self.exchanges:
            await exchange.aclose()


current_call: ContextVar[GuardedCall | None] = ContextVar("guarded_call", default=None)


class GuardedExchange:
    """One for each provider; has no state of a call."""

    def __init__(
        self, http: httpx.AsyncClient, timeouts: Timeouts, marks: VendorMarks, headers: Mapping[str, str]
    ) -> None:
        """`headers` go with every call, in place of those of the same names."""
        self._http = http
        self._headers = [(name.encode("ascii"), value.encode()) for name, value in headers.items()]
        self._replaced = _OURS | {name for name, _ in self._headers}
        self._timeouts = wire.timeouts_of(timeouts)
        self._marks = marks

    async def send(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], content: bytes
    ) -> Exchange:
        """Send and watch; raises the named errors of `ChatProvider`."""
        call = current_call.get()
        if call is not None and call.body:
            merged = {**orjson.loads(content), **call.body}
            content = orjson.dumps({key: value for key, value in merged.items() if value is not None})
        kept = [(name, value) for name, value in headers if name.lower() not in self._replaced]
        kept += self._headers
        kept.append((b"accept-encoding", b"identity"))
        request = httpx.Request(
            method, url, headers=kept, content=content, extensions={"timeout": self._timeouts}
        )
        response = await wire.send(self._http, request)
        try:
            body = await self._body(response, call or GuardedCall())
        except BaseException:
            await response.aclose()
            raise
        passed = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _HOP_HEADERS]
        exchange = Exchange(response.status_code, passed, body, response)
        if call is not None:
            call.exchanges.append(exchange)
        return exchange

    async def _body(self, response: httpx.Response, call: GuardedCall) -> AsyncGenerator[bytes, None]:
        kind = response.headers.get("content-type", "").lower()
        if self._marks.stream_type in kind:
            return self._watch(response, call)
        wire.expect_type(response, "application/json")
        body = await wire.whole(response)
        try:
            answer = self._marks.readable(loads(body))
            if not self._marks.is_answer(answer):
                raise UpstreamBroken
            call.note(answer, self._marks)
        except _SHAPES as error:
            raise UpstreamBroken from error
        return _once(json.dumps(answer).encode())

    async def _watch(self, response: httpx.Response, call: GuardedCall) -> AsyncGenerator[bytes, None]:
        """The stream's objects, each checked before the SDK sees it, in the plainest form of the stream."""
        reader: EventReader | LineReader = EventReader() if self._marks.sse else LineReader()
        ended = False
        failure: GatewayError | None = None
        async for chunk in wire.chunks(response):
            objects = reader.feed(chunk)
            good: list[bytes] = []
            try:
                for data in objects:
                    if data is DONE:  # of a proxy; the vendor's own marker has come or is missing
                        continue
                    last, line = self._look(data, call)
                    ended = last or ended
                    good.append(line)
            except GatewayError as error:
                failure = error
            if good:
                yield b"".join(good)  # what was said before a failure is kept
            failure = failure or reader.broken
            if failure is not None:
                raise failure
        for data in reader.end():
            if data is not DONE:
                last, line = self._look(data, call)
                ended = last or ended
                yield line
        if reader.broken is not None or not ended:
            raise reader.broken or UpstreamBroken()

    def _look(self, data: Any, call: GuardedCall) -> tuple[bool, bytes]:
        """Whether the object is the end marker, and its line; raises UpstreamBroken or an error's name."""
        try:
            data = self._marks.readable(data)
            ended = self._marks.is_end(data)
            call.note(data, self._marks)
        except _SHAPES as error:
            raise UpstreamBroken from error
        return ended, self._framed(data)

    def _framed(self, data: Any) -> bytes:
        # Not orjson: a half of a surrogate pair has no form in it.
        line = json.dumps(data).encode()
        return b"data: " + line + b"\n\n" if self._marks.sse else line + b"\n"


def named_error(error: BaseException) -> GatewayError | None:
    """The named error that an SDK wrapped into its own, if there is one."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, GatewayError):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
