"""Streams with all events available yield to other tasks regularly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from gateway.core.event_loop_yielding import EVENTS_PER_PAUSE, iterate_cooperatively
from gateway.dialects.sse import stream_response
from gateway.domain.events import TextDelta
from gateway.domain.requests import ResponseFormat
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent

WORDS = 20 * EVENTS_PER_PAUSE


class Other:
    """Another task; `turns` is how often the loop came to it."""

    def __init__(self) -> None:
        self.turns = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    def stop(self) -> int:
        self._task.cancel()
        return self.turns


async def ready(count: int) -> AsyncGenerator[bytes, None]:
    for number in range(count):
        yield b"%d" % number


async def test_all_events_pass_and_other_tasks_run_between_them() -> None:
    other = Other()
    events = [event async for event in iterate_cooperatively(ready(WORDS))]
    assert events == [b"%d" % number for number in range(WORDS)]
    assert other.stop() >= WORDS // EVENTS_PER_PAUSE - 1


async def test_source_is_closed_when_iteration_stops_early() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async with aclosing(iterate_cooperatively(source())) as events:
        await anext(events)
    assert closed.is_set()


async def test_streamed_response_yields_to_other_tasks() -> None:
    other = Other()
    body: AsyncIterator[object] = stream_response(ready(WORDS)).body_iterator
    sent = [chunk async for chunk in body]
    assert len(sent) == WORDS
    assert other.stop() >= WORDS // EVENTS_PER_PAUSE - 1


async def test_turn_with_all_tokens_available_yields_and_coalesces_deltas() -> None:
    text = {"type": "string", "minLength": 90_000}
    schema = {"type": "object", "properties": {"a": text}, "required": ["a"]}
    config = make_catalog(
        {}, providers={"mock": {"type": "mock"}}, models={"mock": {"provider": "mock", "model": "mock"}}
    ).model_dump()
    config["models"]["mock"]["capabilities"] = ["json"]
    asked = make_turn(model="mock", response_format=ResponseFormat("json_schema", "x", schema))
    async with running_agent(make_catalog({}).model_validate(config)) as agent:
        other = Other()
        events = await run_turn(agent, asked)
        turns = other.stop()
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert sum(map(len, pieces)) > 90_000
    assert 1000 < len(pieces) <= 4096
    assert turns >= len(pieces) // EVENTS_PER_PAUSE
