"""Server-sent events: framing, and the streaming response."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import anyio
from sse_starlette import EventSourceResponse

from gateway.core.event_loop_yielding import iterate_cooperatively
from gateway.core.exceptions import GatewayError
from gateway.dialects.base import StreamEncoder
from gateway.domain.events import Answer, ChatEvent, TurnCompleted, TurnFailed

HEARTBEAT_SECONDS = 15
# Maximum time a stream may continue after shutdown starts: normally its turn ends it earlier.
SHUTDOWN_GRACE_SECONDS = 660.0


def frame(data: bytes, *, event: str | None = None, event_id: int | None = None) -> bytes:
    """Encode one event; `data` is JSON without line breaks."""
    head = b""
    if event_id is not None:
        head = b"id: %d\n" % event_id
    if event is not None:
        head += b"event: " + event.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"


async def start_stream(
    events: AsyncGenerator[ChatEvent, None],
    encoder: StreamEncoder,
    on_answer: Callable[[Answer], None],
) -> EventSourceResponse:
    """Return a response whose first bytes exist; early errors keep their HTTP status.

    Args:
        on_answer: called with the answer at the end of the stream, for the access log.

    Raises:
        GatewayError: the turn failed before it produced output.
    """
    first: bytes | None = None
    try:
        async for event in events:
            if isinstance(event, TurnFailed):
                raise event.error
            first = encoder.encode(event)
            if first is not None:
                break
    except BaseException:
        await events.aclose()
        raise
    if first is None:
        raise GatewayError
    return stream_response(_encode_events(first, events, encoder, on_answer))


def stream_response(frames: AsyncIterator[bytes]) -> EventSourceResponse:
    """Return the response for `frames`, with heartbeats and a shutdown grace period."""
    return EventSourceResponse(
        iterate_cooperatively(frames),
        ping=HEARTBEAT_SECONDS,
        sep="\n",
        headers={"cache-control": "no-cache"},
        shutdown_event=anyio.Event(),
        shutdown_grace_period=SHUTDOWN_GRACE_SECONDS,
    )


async def _encode_events(
    first: bytes,
    events: AsyncGenerator[ChatEvent, None],
    encoder: StreamEncoder,
    on_answer: Callable[[Answer], None],
) -> AsyncIterator[bytes]:
    async with aclosing(events):
        yield first
        async for event in events:
            if isinstance(event, (TurnCompleted, TurnFailed)) and event.answer is not None:
                on_answer(event.answer)
            data = encoder.encode(event)
            if data is not None:
                yield data
