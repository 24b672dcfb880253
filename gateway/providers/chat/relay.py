"""Relays one HTTP answer of a vendor through the reader of its wire format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

import httpx

from gateway.core.exceptions import GatewayError, UpstreamBroken, UpstreamError
from gateway.domain.events import ProviderEvent
from gateway.domain.usage import Usage
from gateway.providers.chat import wire

# How long to wait for the close after the end marker, so that the connection can serve the next call.
_DRAIN_SECONDS = 0.25
# Types that say nothing of a body, which is then judged by its bytes.
_ANYTHING = ("", "text/plain", "application/octet-stream")


class Reader(Protocol):
    """Turns bytes of one answer into events; see `AnswerReader`."""

    done: bool
    broken: GatewayError | None

    @property
    def complete(self) -> bool: ...
    @property
    def counted(self) -> Usage | None: ...
    def feed(self, data: bytes) -> list[ProviderEvent]: ...
    def close(self) -> list[ProviderEvent]: ...
    def end(self) -> list[ProviderEvent]: ...
    def whole(self, body: bytes) -> list[ProviderEvent]: ...


async def relay(
    response: httpx.Response, reader: Reader, *, incremental: bool
) -> AsyncGenerator[ProviderEvent, None]:
    """The events of the answer, `Completed` last; the response is closed at the end.

    Raises:
        GatewayError: as `ChatProvider` says.
    """
    try:
        if not _is_stream(response, incremental):
            for event in reader.whole(await wire.whole(response)):
                yield event
            return
        chunks = wire.chunks(response)
        try:
            async for data in chunks:
                for event in reader.feed(data):
                    yield event
                if reader.broken is not None:
                    raise reader.broken
                if reader.done:
                    await _drain(chunks)
                    break
            else:
                for event in reader.close():
                    yield event
                if reader.broken is not None:
                    raise reader.broken
        except GatewayError:
            if not reader.complete:
                raise
        finally:
            await chunks.aclose()
        for event in reader.end():
            yield event
    except UpstreamError as error:
        error.counted = reader.counted
        raise
    finally:
        await response.aclose()


def _is_stream(response: httpx.Response, wanted: bool) -> bool:
    """Whether the body is a stream: its type says so, whatever was asked for; `wanted` where it says nothing.

    Some servers stream never or always.

    Raises:
        UpstreamBroken: it is a page, or anything else that is no answer.
    """
    kind = response.headers.get("content-type", "").lower().partition(";")[0].strip()
    if kind == "text/event-stream":
        return True
    if kind.endswith(("/json", "+json")):
        return False
    if kind in _ANYTHING:
        return wanted
    raise UpstreamBroken


async def _drain(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read what follows the end marker; a server that does not close in time loses its connection."""
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
    except (TimeoutError, GatewayError):
        return  # the answer is complete already
