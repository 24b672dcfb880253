"""Streams one HTTP response through the parser of its wire format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

import httpx

from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamError
from gateway.domain.events import ProviderEvent
from gateway.domain.money import Usage
from gateway.providers.http import exchange

# How long to wait for the end of the response after the end marker, so that the connection can be reused.
_DRAIN_SECONDS = 0.25
# Content types that do not say whether the body is a stream.
_UNSPECIFIC_TYPES = ("", "text/plain", "application/octet-stream")


class ResponseParser(Protocol):
    """Turns the bytes of one response into events.

    See `OpenAIResponseParser` for the methods.
    """

    done: bool
    error: GatewayError | None

    @property
    def is_complete(self) -> bool: ...
    @property
    def usage(self) -> Usage | None: ...
    def feed(self, data: bytes) -> list[ProviderEvent]: ...
    def feed_eof(self) -> list[ProviderEvent]: ...
    def finish(self) -> list[ProviderEvent]: ...
    def parse_body(self, body: bytes) -> list[ProviderEvent]: ...


async def stream_events(
    response: httpx.Response, parser: ResponseParser, *, stream: bool
) -> AsyncGenerator[ProviderEvent, None]:
    """Yield the events of a response, `Completed` last, and close it.

    Raises:
        GatewayError: see `ChatProvider`.
    """
    try:
        if not _is_stream(response, stream):
            for event in parser.parse_body(await exchange.read_body(response)):
                yield event
            return
        chunks = exchange.iter_body(response)
        try:
            async for data in chunks:
                for event in parser.feed(data):
                    yield event
                if parser.error is not None:
                    raise parser.error
                if parser.done:
                    await _drain(chunks)
                    break
            else:
                for event in parser.feed_eof():
                    yield event
                if parser.error is not None:
                    raise parser.error
        except GatewayError:
            if not parser.is_complete:
                raise
        finally:
            await chunks.aclose()
        for event in parser.finish():
            yield event
    except UpstreamError as error:
        error.usage = parser.usage
        raise
    finally:
        await response.aclose()


def _is_stream(response: httpx.Response, requested: bool) -> bool:
    """Whether the body is a stream.

    The content type decides; without one, what was requested.

    Some servers never stream, others always do.

    Raises:
        UpstreamBroken: the content type is that of a web page, or otherwise not of an answer.
    """
    content_type = response.headers.get("content-type", "").lower().partition(";")[0].strip()
    if content_type == "text/event-stream":
        return True
    if content_type.endswith(("/json", "+json")):
        return False
    if content_type in _UNSPECIFIC_TYPES:
        return requested
    raise UpstreamBroken


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read the rest of the response.

    If it does not end in time, the connection is not reused.
    """
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
    except (TimeoutError, GatewayError):
        return  # the answer is complete already
