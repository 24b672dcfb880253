"""Streams several choices: chunks by index.

Usage and `[DONE]` after the last one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import orjson
from sse_starlette import EventSourceResponse

from gateway.core.exceptions import GatewayError
from gateway.dialects.errors import render_error
from gateway.dialects.openai.chat.stream import ChatCompletionEncoder
from gateway.dialects.sse import frame, stream_response
from gateway.domain.events import Answer, ChatEvent, TurnCompleted, TurnFailed
from gateway.domain.money import Usage


class ChoicesEncoder:
    """One encoder per choice; the stream ends after the last choice."""

    def __init__(
        self, request_id: str, count: int, *, include_usage: bool, tools: bool, custom: frozenset[str]
    ) -> None:
        self._encoders = [
            ChatCompletionEncoder(
                request_id,
                include_usage=include_usage,
                tools=tools,
                custom=custom,
                index=index,
                ends_stream=False,
            )
            for index in range(count)
        ]
        self._request_id = request_id
        self._remaining = count
        self._usage = Usage()
        self._model = ""

    def encode(self, number: int, event: ChatEvent) -> bytes | None:
        """Like `StreamEncoder.encode`, for the choice of this index."""
        data = self._encoders[number].encode(event)
        if not isinstance(event, TurnCompleted):
            return data
        self._remaining -= 1
        self._usage += event.answer.usage
        if self._remaining:
            return data
        return (data or b"") + self._encoders[number].finish_stream(self._usage)

    def encode_error(self, error: GatewayError) -> bytes:
        """Encode an error that ends a started stream."""
        return frame(orjson.dumps(render_error(error, self._request_id)[2]))


async def start_choices(
    events: AsyncGenerator[tuple[int, ChatEvent], None],
    encoder: ChoicesEncoder,
    on_answer: Callable[[Answer], None],
) -> EventSourceResponse:
    """Start the response, like `start_stream`: the first bytes already exist.

    Raises:
        GatewayError: a choice failed before any choice produced output.
    """
    frames = _encode_choices(events, encoder, on_answer)
    try:
        first = await anext(frames)
    except BaseException:
        await frames.aclose()
        raise
    return stream_response(_prepend(first, frames))


async def _encode_choices(
    events: AsyncGenerator[tuple[int, ChatEvent], None],
    encoder: ChoicesEncoder,
    on_answer: Callable[[Answer], None],
) -> AsyncGenerator[bytes, None]:
    started = False
    async with aclosing(events):
        async for number, event in events:
            if isinstance(event, (TurnCompleted, TurnFailed)) and event.answer is not None:
                on_answer(event.answer)
            try:
                if isinstance(event, TurnFailed):
                    raise event.error
                data = encoder.encode(number, event)
            except GatewayError as error:
                if not started:
                    raise
                yield encoder.encode_error(error)
                return
            if data is not None:
                started = True
                yield data


async def _prepend(first: bytes, frames: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(frames):
        yield first
        async for data in frames:
            yield data
