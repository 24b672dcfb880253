"""Validates the HTTP responses that a vendor's SDK reads, because SDKs ignore truncated and broken streams.

The SDK gets a client whose transport is a `StreamGuard`. It sends through the gateway's shared client, maps
failures to gateway errors and inspects every streamed object, so a stream without the vendor's end marker
ends in `UpstreamBroken` whatever the SDK would make of it.
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
from gateway.domain.config.providers import Timeouts
from gateway.domain.events import VendorResponse
from gateway.providers.http import exchange
from gateway.providers.http.stream_decoders import DONE, NDJSONDecoder, SSEDecoder, parse_event_json
from gateway.providers.response_ids import parse_vendor_response
from gateway.providers.token_counts import TokenCounts

# The body is passed on decompressed and re-framed; the vendor's cookies are dropped.
_REPLACED_HEADERS = frozenset({b"accept-encoding", b"content-length", b"transfer-encoding"})
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)
_DROPPED_RESPONSE_HEADERS = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"}
)


class StreamProtocol(Protocol):
    """What the guard needs to know about a vendor's wire format."""

    is_sse: bool  # server-sent events, else one JSON object per line
    stream_content_type: str  # substring of a stream's content type

    def is_end(self, data: dict[str, Any]) -> bool:
        """Whether this object of a stream is the end marker.

        Raises:
            GatewayError: the object is an error (`classify_stream_error`).
        """

    def is_complete_answer(self, data: dict[str, Any]) -> bool:
        """Whether this JSON body is a complete answer."""

    def normalize(self, data: Any) -> Any:
        """Return the object in the form that the vendor's SDK expects."""

    def update_counts(self, data: dict[str, Any], counts: TokenCounts) -> None:
        """Read the usage of one streamed object, or of the whole response."""


class ResponseRecorder(Protocol):
    """Collects what a provider needs of a response beyond what the SDK reports."""

    def record(self, data: dict[str, Any]) -> None:
        """Record one object of a stream, or the whole response."""


@dataclass(frozen=True, slots=True)
class GuardedResponse:
    """A successful response whose body is validated while it is read."""

    status: int
    headers: list[tuple[str, str]]
    body: AsyncGenerator[bytes, None]
    response: httpx.Response

    async def aclose(self) -> None:
        """Close the vendor's connection, unless the body was read to its end."""
        await self.body.aclose()
        await self.response.aclose()


@dataclass(slots=True)
class CallScope:
    """State that a provider and the guard share during one call.

    `body_overrides` replace fields of the SDK's JSON body; None removes a field. `responses` are closed at
    the end of the call, which SDKs leave to the garbage collector. `recorder` gets every object of the
    response, unchanged. `token_counts` are read from the same objects, because SDKs drop some of them.
    """

    body_overrides: dict[str, Any] = field(default_factory=dict)
    responses: list[GuardedResponse] = field(default_factory=list)
    recorder: ResponseRecorder | None = None
    token_counts: TokenCounts = field(default_factory=TokenCounts)
    vendor_response: VendorResponse | None = None

    def observe(self, data: dict[str, Any], protocol: StreamProtocol) -> None:
        """Read counts and ids of one object of the response, and pass it to the recorder."""
        protocol.update_counts(data, self.token_counts)
        if self.vendor_response is None:
            self.vendor_response = parse_vendor_response(data)
        if self.recorder is not None:
            self.recorder.record(data)

    async def aclose(self) -> None:
        """Close all responses of the call."""
        for response in self.responses:
            await response.aclose()


current_call: ContextVar[CallScope | None] = ContextVar("guarded_call", default=None)


class StreamGuard:
    """Sends the SDK's requests and validates the responses.

    There is one per provider; it has no state of a call.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        timeouts: Timeouts,
        protocol: StreamProtocol,
        headers: Mapping[str, str],
    ) -> None:
        """Create the guard; `headers` replace the SDK's headers of the same names."""
        self._http = http
        self._headers = [(name.encode("ascii"), value.encode()) for name, value in headers.items()]
        self._replaced_headers = _REPLACED_HEADERS | {name for name, _ in self._headers}
        self._timeout_extension = exchange.timeout_extension(timeouts)
        self._protocol = protocol

    async def send(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], content: bytes
    ) -> GuardedResponse:
        """Send a request; raises the errors of `ChatProvider`, also while the body is read."""
        call = current_call.get()
        if call is not None and call.body_overrides:
            merged = {**orjson.loads(content), **call.body_overrides}
            content = orjson.dumps({key: value for key, value in merged.items() if value is not None})
        request_headers = [
            (name, value) for name, value in headers if name.lower() not in self._replaced_headers
        ]
        request_headers += self._headers
        request_headers.append((b"accept-encoding", b"identity"))
        request = httpx.Request(
            method,
            url,
            headers=request_headers,
            content=content,
            extensions={"timeout": self._timeout_extension},
        )
        response = await exchange.send(self._http, request)
        try:
            body = await self._guard_body(response, call or CallScope())
        except BaseException:
            await response.aclose()
            raise
        response_headers = [
            (k, v) for k, v in response.headers.multi_items() if k.lower() not in _DROPPED_RESPONSE_HEADERS
        ]
        guarded = GuardedResponse(response.status_code, response_headers, body, response)
        if call is not None:
            call.responses.append(guarded)
        return guarded

    async def _guard_body(self, response: httpx.Response, call: CallScope) -> AsyncGenerator[bytes, None]:
        content_type = response.headers.get("content-type", "").lower()
        if self._protocol.stream_content_type in content_type:
            return self._guard_stream(response, call)
        exchange.require_content_type(response, "application/json")
        body = await exchange.read_body(response)
        try:
            answer = self._protocol.normalize(parse_event_json(body))
            if not self._protocol.is_complete_answer(answer):
                raise UpstreamBroken
            call.observe(answer, self._protocol)
        except _MALFORMED as error:
            raise UpstreamBroken from error
        return _single_chunk(json.dumps(answer).encode())

    async def _guard_stream(self, response: httpx.Response, call: CallScope) -> AsyncGenerator[bytes, None]:
        """Yield the stream's objects, each validated and re-encoded before the SDK reads it."""
        decoder: SSEDecoder | NDJSONDecoder = SSEDecoder() if self._protocol.is_sse else NDJSONDecoder()
        ended = False
        failure: GatewayError | None = None
        async for chunk in exchange.iter_body(response):
            objects = decoder.feed(chunk)
            lines: list[bytes] = []
            try:
                for data in objects:
                    if data is DONE:  # added by a proxy; the vendor has an end marker of its own
                        continue
                    is_end, line = self._inspect(data, call)
                    ended = is_end or ended
                    lines.append(line)
            except GatewayError as error:
                failure = error
            if lines:
                yield b"".join(lines)  # text before a failure is not lost
            failure = failure or decoder.error
            if failure is not None:
                raise failure
        for data in decoder.feed_eof():
            if data is not DONE:
                is_end, line = self._inspect(data, call)
                ended = is_end or ended
                yield line
        if decoder.error is not None or not ended:
            raise decoder.error or UpstreamBroken()

    def _inspect(self, data: Any, call: CallScope) -> tuple[bool, bytes]:
        """Return whether the object is the end marker, and its encoded form.

        Raises:
            GatewayError: it is an error, or has an unknown shape (`UpstreamBroken`).
        """
        try:
            data = self._protocol.normalize(data)
            ended = self._protocol.is_end(data)
            call.observe(data, self._protocol)
        except _MALFORMED as error:
            raise UpstreamBroken from error
        return ended, self._frame(data)

    def _frame(self, data: Any) -> bytes:
        # Not orjson, which cannot encode lone surrogates.
        line = json.dumps(data).encode()
        return b"data: " + line + b"\n\n" if self._protocol.is_sse else line + b"\n"


def find_gateway_error(error: BaseException) -> GatewayError | None:
    """Return the gateway error that an SDK wrapped into its own, if there is one."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, GatewayError):
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


async def _single_chunk(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
