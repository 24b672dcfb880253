"""The event queue of a slow reader: merged deltas and bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.core.exceptions import GatewayError
from gateway.domain.events import ChatEvent, ReasoningDelta, TextDelta, ToolCallDelta, TurnFailed
from gateway.services.execution.event_queue import COALESCE_AFTER, MAX_PENDING_CHARACTERS, CoalescingQueue

END = TurnFailed(GatewayError(), "r")


async def read(queue: CoalescingQueue) -> list[ChatEvent]:
    async with asyncio.timeout(30):
        return [event async for event in queue.events()]


def filled(events: Sequence[ChatEvent]) -> CoalescingQueue:
    queue = CoalescingQueue("r")
    for event in events:
        queue.put(event)
    return queue


async def test_a_fast_reader_gets_every_event_unchanged() -> None:
    queue = CoalescingQueue("r")
    reading = asyncio.create_task(read(queue))
    for number in range(3 * COALESCE_AFTER):
        queue.put(TextDelta(str(number)))
        await asyncio.sleep(0)
    queue.put(END)
    assert [event.text for event in (await reading)[:-1] if isinstance(event, TextDelta)] == [
        str(number) for number in range(3 * COALESCE_AFTER)
    ]


async def test_a_slow_reader_gets_all_of_the_text_in_few_deltas() -> None:
    deltas = [TextDelta(f"{number},", ({"token": number},)) for number in range(10_000)]
    read_late = await read(filled([*deltas, END]))
    texts = [event for event in read_late if isinstance(event, TextDelta)]
    assert "".join(text.text for text in texts) == "".join(delta.text for delta in deltas)
    assert sum(len(text.logprobs) for text in texts) == len(deltas)
    assert len(read_late) < COALESCE_AFTER + 5


async def test_only_adjacent_deltas_of_one_kind_are_merged() -> None:
    lag = [TextDelta("x")] * COALESCE_AFTER
    call = ToolCallDelta(0, arguments="{}")
    events = [
        *(ReasoningDelta("a"), ReasoningDelta("b")),
        *(TextDelta("c"), TextDelta("d")),
        *(TextDelta("no", refusal=True), call, TextDelta("e"), TextDelta("f")),
    ]
    read_late = await read(filled([*lag, *events, END]))
    assert read_late[COALESCE_AFTER:] == [
        *(ReasoningDelta("ab"), TextDelta("cd"), TextDelta("no", refusal=True), call, TextDelta("ef"), END)
    ]


async def test_a_reader_that_is_too_slow_gets_an_error_instead_of_the_stream() -> None:
    piece = "x" * 1000
    queue = filled([TextDelta(piece)] * (MAX_PENDING_CHARACTERS // 1000 + 2 * COALESCE_AFTER))
    queue.put(END)
    (only,) = await read(queue)
    assert isinstance(only, TurnFailed)
    assert only.error.code == "overloaded"
