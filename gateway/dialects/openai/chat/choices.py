"""Several choices in one stream: chunks of each by its index, usage and `[DONE]` once all have ended."""

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
    """An encoder for each choice; what ends the stream comes behind the last of them."""

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
        """As `StreamEncoder.encode`, for the choice of this number."""
        data = self._encoders[number].encode(event)
        if not isinstance(event, TurnCompleted):
            return data
        self._remaining -= 1
        self._usage += event.answer.usage
        if self._remaining:
            return data
        return (data or b"") + self._encoders[number].finish_stream(self._usage)

    def encode_error(self, error: GatewayError) -> bytes:
        """What ends a stream that has begun and cannot go on."""
        return frame(orjson.dumps(render_error(error, self._request_id)[2]))


async def start_choices(
    events: AsyncGenerator[tuple[int, ChatEvent], None],
    encoder: ChoicesEncoder,
    on_answer: Callable[[Answer], None],
) -> EventSourceResponse:
    """As `open_stream`: the first bytes are there already.

    Raises:
        GatewayError: a choice failed before there was anything to show of any.
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
