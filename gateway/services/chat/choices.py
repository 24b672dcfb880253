"""Several answers to one request: as many turns at once, their events numbered and told apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.domain.accounts.principal import Principal
from gateway.domain.events import Answer, ChatEvent, TurnCompleted, TurnFailed
from gateway.domain.requests import Turn
from gateway.services.chat.service import ChatService

ChoiceEvent = tuple[int, ChatEvent]


async def stream_choices(
    chat: ChatService,
    turn: Turn,
    count: int,
    principal: Principal,
    disconnected: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[ChoiceEvent, None]:
    """The events of `count` turns, each with its choice's number, until all have ended or one has failed.

    Each is reserved, called, recorded and charged by itself. A failure of one ends them all, and so does
    closing the iterator (by `on_disconnect`, as with a single one).
    """
    events: asyncio.Queue[ChoiceEvent] = asyncio.Queue()
    started = [False] * count
    stopping = False

    async def follow(number: int) -> None:
        try:
            async with aclosing(chat.stream(_turn_for_choice(turn, number), principal, disconnected)) as own:
                async for event in own:
                    started[number] = True
                    events.put_nowait((number, event))
                    if stopping:
                        return
        except GatewayError as error:
            events.put_nowait((number, TurnFailed(error, turn.request_id)))
        except Exception:
            events.put_nowait((number, TurnFailed(GatewayError(), turn.request_id)))
            raise

    tasks = [asyncio.create_task(follow(number)) for number in range(count)]
    try:
        running = count
        while running:
            number, event = await events.get()
            yield number, event
            if isinstance(event, TurnFailed):
                return
            running -= isinstance(event, TurnCompleted)
    finally:
        stopping = True
        for number, task in enumerate(tasks):
            # One that is being opened goes on until it has: only then is known what it has reserved.
            if started[number]:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer_choices(
    chat: ChatService,
    turn: Turn,
    count: int,
    principal: Principal,
    disconnected: Callable[[], Awaitable[None]],
) -> list[Answer]:
    """The whole answers, in order.

    Raises:
        GatewayError: what the first of them failed with.
    """
    collecting = asyncio.create_task(_collect(stream_choices(chat, turn, count, principal), count))
    leaving = asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            raise Unavailable("The client has gone.")
        return collecting.result()
    finally:
        for task in (collecting, leaving):
            task.cancel()
        await asyncio.wait({collecting})


async def _collect(events: AsyncGenerator[ChoiceEvent, None], count: int) -> list[Answer]:
    answers: dict[int, Answer] = {}
    async with aclosing(events):
        async for number, event in events:
            if isinstance(event, TurnFailed):
                raise event.error
            if isinstance(event, TurnCompleted):
                answers[number] = event.answer
    return [answers[number] for number in range(count)]


def _turn_for_choice(turn: Turn, number: int) -> Turn:
    """The turn of one choice: with a seed of its own where there is one, or all would be the same."""
    seed = turn.sampling.seed
    if seed is None or number == 0:
        return turn
    return replace(turn, sampling=replace(turn.sampling, seed=seed + number))
