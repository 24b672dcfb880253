"""What a slow listener of a turn costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.core.exceptions import GatewayError
from gateway.domain.events import ChatEvent, ReasoningDelta, TextDelta, ToolCallDelta, TurnFailed
from gateway.services.execution.event_queue import COALESCE_AFTER, MAX_PENDING_CHARACTERS, CoalescingQueue

END = TurnFailed(GatewayError(), "r")


async def read(channel: CoalescingQueue) -> list[ChatEvent]:
    async with asyncio.timeout(30):
        return [event async for event in channel.events()]


def filled(events: Sequence[ChatEvent]) -> CoalescingQueue:
    channel = CoalescingQueue("r")
    for event in events:
        channel.put(event)
    return channel


async def test_who_keeps_up_gets_every_event_as_it_came() -> None:
    channel = CoalescingQueue("r")
    reading = asyncio.create_task(read(channel))
    for number in range(3 * COALESCE_AFTER):
        channel.put(TextDelta(str(number)))
        await asyncio.sleep(0)
    channel.put(END)
    assert [event.text for event in (await reading)[:-1] if isinstance(event, TextDelta)] == [
        str(number) for number in range(3 * COALESCE_AFTER)
    ]


async def test_who_lags_gets_all_of_the_text_in_few_pieces() -> None:
    deltas = [TextDelta(f"{number},", ({"token": number},)) for number in range(10_000)]
    read_late = await read(filled([*deltas, END]))
    texts = [event for event in read_late if isinstance(event, TextDelta)]
    assert "".join(text.text for text in texts) == "".join(delta.text for delta in deltas)
    assert sum(len(text.logprobs) for text in texts) == len(deltas)
    assert len(read_late) < COALESCE_AFTER + 5


async def test_only_what_belongs_together_is_joined_and_the_order_stays() -> None:
    lag = [TextDelta("x")] * COALESCE_AFTER
    call = ToolCallDelta(0, arguments="{}")
    told = [
        *(ReasoningDelta("a"), ReasoningDelta("b")),
        *(TextDelta("c"), TextDelta("d")),
        *(TextDelta("no", refusal=True), call, TextDelta("e"), TextDelta("f")),
    ]
    read_late = await read(filled([*lag, *told, END]))
    assert read_late[COALESCE_AFTER:] == [
        *(ReasoningDelta("ab"), TextDelta("cd"), TextDelta("no", refusal=True), call, TextDelta("ef"), END)
    ]


async def test_who_is_hopelessly_behind_is_told_so_and_costs_nothing_more() -> None:
    piece = "x" * 1000
    channel = filled([TextDelta(piece)] * (MAX_PENDING_CHARACTERS // 1000 + 2 * COALESCE_AFTER))
    assert len(channel._events) == 1
    channel.put(END)
    (only,) = await read(channel)
    assert isinstance(only, TurnFailed)
    assert only.error.code == "overloaded"
