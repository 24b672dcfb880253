"""Several choices in one stream: chunks of each by its index, usage and `[DONE]` once all have ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import orjson
from sse_starlette import EventSourceResponse

from gateway.core.exceptions import GatewayError
from gateway.dialects.errors import render_error
from gateway.dialects.openai.answer import OpenAIEncoder
from gateway.dialects.sse import frame, stream_response
from gateway.domain.events import Answer, ChatEvent, TurnCompleted, TurnFailed
from gateway.domain.usage import Usage


class ChoicesEncoder:
    """An encoder for each choice; what ends the stream comes behind the last of them."""

    def __init__(
        self, request_id: str, count: int, *, include_usage: bool, tools: bool, custom: frozenset[str]
    ) -> None:
        self._each = [
            OpenAIEncoder(
                request_id, include_usage=include_usage, tools=tools, custom=custom, index=index, alone=False
            )
            for index in range(count)
        ]
        self._request_id = request_id
        self._left = count
        self._usage = Usage()
        self._model = ""

    def encode(self, number: int, event: ChatEvent) -> bytes | None:
        """As `StreamEncoder.encode`, for the choice of this number."""
        data = self._each[number].encode(event)
        if not isinstance(event, TurnCompleted):
            return data
        self._left -= 1
        self._usage += event.answer.usage
        if self._left:
            return data
        return (data or b"") + self._each[number].last(self._usage)

    def failed(self, error: GatewayError) -> bytes:
        """What ends a stream that has begun and cannot go on."""
        return frame(orjson.dumps(render_error(error, self._request_id)[2]))


async def open_choices(
    events: AsyncGenerator[tuple[int, ChatEvent], None],
    encoder: ChoicesEncoder,
    on_answer: Callable[[Answer], None],
) -> EventSourceResponse:
    """As `open_stream`: the first bytes are there already.

    Raises:
        GatewayError: a choice failed before there was anything to show of any.
    """
    frames = _encoded(events, encoder, on_answer)
    try:
        first = await anext(frames)
    except BaseException:
        await frames.aclose()
        raise
    return stream_response(_after(first, frames))


async def _encoded(
    events: AsyncGenerator[tuple[int, ChatEvent], None],
    encoder: ChoicesEncoder,
    on_answer: Callable[[Answer], None],
) -> AsyncGenerator[bytes, None]:
    begun = False
    async with aclosing(events):
        async for number, event in events:
            if isinstance(event, (TurnCompleted, TurnFailed)) and event.answer is not None:
                on_answer(event.answer)
            try:
                if isinstance(event, TurnFailed):
                    raise event.error
                data = encoder.encode(number, event)
            except GatewayError as error:
                if not begun:
                    raise
                yield encoder.failed(error)
                return
            if data is not None:
                begun = True
                yield data


async def _after(first: bytes, frames: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(frames):
        yield first
        async for data in frames:
            yield data
