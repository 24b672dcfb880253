"""Callers that keep on asking while something breaks, and put down when each of them asked and what came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults.ledgers import Heard
from tests.faults.stage import Caller, Stage, complete, hear, say

Turn = Callable[[Stage, Caller, int], Awaitable[Heard]]


@dataclass(slots=True)
class Asked:
    """One turn; `began` in the loop's seconds, `question` is its own."""

    began: float
    question: str
    heard: Heard


@dataclass(slots=True)
class Load:
    """So many turns a second, of all kinds and by both workers, until told to stop."""

    stage: Stage
    callers: list[Caller]
    a_second: float
    asked: list[Asked] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Returns when the last answer is in."""
        number = 0
        while not self._stop.is_set():
            task = asyncio.create_task(self._one(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            try:
                async with asyncio.timeout(1 / self.a_second):
                    await self._stop.wait()
            except TimeoutError:
                continue
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        self._stop.set()

    async def _one(self, number: int) -> None:
        began = asyncio.get_running_loop().time()
        question = f"Question {number} of this load"
        caller = self.callers[number % len(self.callers)]
        door = self.stage.doors[number % 2]
        kind = number % 4
        if kind == 0:
            heard = await say(door, caller, question)
        elif kind == 1:
            heard = await hear(door, caller.as_person, {"message": question}, "/api/chat/")
        else:
            heard = await complete(door, caller, question, stream=kind == 2)
        self.asked.append(Asked(began, question, heard))
