"""Send turns at a steady rate while something fails, and record the responses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.consistency import ClientResponse
from tests.support.two_worker_stage import (
    Caller,
    TwoWorkerStage,
    create_completion,
    send_request,
    stream_turn,
)

Turn = Callable[[TwoWorkerStage, Caller, int], Awaitable[ClientResponse]]


@dataclass(slots=True)
class SentTurn:
    """One turn; `began` in the loop's seconds, `question` is its own."""

    started: float
    question: str
    response: ClientResponse


@dataclass(slots=True)
class SteadyLoad:
    """Turns of all kinds on both workers, `rate` per second, until `stop` is called."""

    stage: TwoWorkerStage
    callers: list[Caller]
    rate: float
    turns: list[SentTurn] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Returns when the last answer is in."""
        number = 0
        while not self._stop.is_set():
            task = asyncio.create_task(self._send_turn(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            try:
                async with asyncio.timeout(1 / self.rate):
                    await self._stop.wait()
            except TimeoutError:
                continue
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        self._stop.set()

    async def _send_turn(self, number: int) -> None:
        began = asyncio.get_running_loop().time()
        question = f"Question {number} of this load"
        caller = self.callers[number % len(self.callers)]
        door = self.stage.workers[number % 2]
        kind = number % 4
        if kind == 0:
            heard = await stream_turn(door, caller, question)
        elif kind == 1:
            heard = await send_request(door, caller.token_headers, {"message": question}, "/api/chat/")
        else:
            heard = await create_completion(door, caller, question, stream=kind == 2)
        self.turns.append(SentTurn(began, question, heard))
