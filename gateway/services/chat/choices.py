"""Several answers to one request (`n`), as concurrent turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.domain.events import Answer, ChatEvent, TurnCompleted, TurnFailed
from gateway.domain.requests import RequestScope, Turn
from gateway.services.chat.service import ChatService

ChoiceEvent = tuple[int, ChatEvent]


async def stream_choices(
    chat: ChatService, turn: Turn, count: int, scope: RequestScope
) -> AsyncGenerator[ChoiceEvent, None]:
    """Yield the events of `count` turns, each with its choice's number.

    Each turn is reserved, run and charged by itself. The first failure ends them all, and so does closing the
    iterator (by `on_disconnect`, as for a single turn).
    """
    events: asyncio.Queue[ChoiceEvent] = asyncio.Queue()
    started = [False] * count
    stopping = False

    async def run(number: int) -> None:
        try:
            async with aclosing(chat.stream(_turn_for_choice(turn, number), scope)) as own:
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

    tasks = [asyncio.create_task(run(number)) for number in range(count)]
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
            # A turn in admission continues until it is admitted: only then is its reservation known.
            if started[number]:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer_choices(chat: ChatService, turn: Turn, count: int, scope: RequestScope) -> list[Answer]:
    """Return the complete answers, in order.

    Raises:
        GatewayError: the error of the first turn that failed.
    """
    choices = stream_choices(chat, turn, count, replace(scope, disconnected=None))
    collecting = asyncio.create_task(_collect(choices, count))
    tasks: set[asyncio.Future[Any]] = {collecting}
    if scope.disconnected is not None:
        tasks.add(asyncio.ensure_future(scope.disconnected()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            raise Unavailable("The client has disconnected.")
        return collecting.result()
    finally:
        for task in tasks:
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
    """Return the turn of one choice.

    A requested seed is varied per choice; otherwise all answers would be the same.
    """
    seed = turn.sampling.seed
    if seed is None or number == 0:
        return turn
    return replace(turn, sampling=replace(turn.sampling, seed=seed + number))
