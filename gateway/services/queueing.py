"""Turns that wait for a conversation that is being answered, instead of being refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from gateway.core.exceptions import TurnInProgress, Unavailable
from gateway.domain.config.queue import ConversationQueue
from gateway.domain.ledger import OpenedTurn
from gateway.repositories.waiting_turn import WaitingTurnRepository
from gateway.services.bus import Bus
from gateway.services.turns import TurnTasks

# How often a waiter looks that no word has reached, in seconds.
POLL_SECONDS = 0.5


class Waiting:
    """Waiters of this worker; their order is kept in PostgreSQL, for all workers."""

    def __init__(self, turns: WaitingTurnRepository, tasks: TurnTasks, bus: Bus) -> None:
        self._turns = turns
        self._tasks = tasks
        self._bus = bus
        self._wakes: dict[UUID, set[asyncio.Event]] = {}
        self._words: set[asyncio.Task[Any]] = set()
        bus.on("freed", self._wake)

    def __len__(self) -> int:
        return sum(map(len, self._wakes.values()))

    def freed(self, conversation_id: UUID) -> None:
        """A turn has ended for which others wait; returns at once."""
        task = asyncio.create_task(self._bus.say("freed", conversation_id))
        self._words.add(task)
        task.add_done_callback(self._words.discard)

    async def begin(
        self,
        begin: Callable[[], Awaitable[OpenedTurn]],
        user_id: UUID,
        conversation_id: UUID,
        limits: ConversationQueue,
        busy: TurnInProgress,
    ) -> OpenedTurn:
        """Call `begin` when its turn has come.

        Args:
            busy: what it was refused with.

        Raises:
            TurnInProgress: too many wait, or it took too long. Unavailable: this worker shuts down.
            GatewayError: whatever `begin` raises.
        """
        deadline = asyncio.get_running_loop().time() + limits.seconds
        ticket = await self._turns.join(user_id, conversation_id, limits.turns)
        if ticket is None:
            raise busy
        wake = asyncio.Event()
        self._wakes.setdefault(conversation_id, set()).add(wake)
        try:
            while True:
                await self._come_first(ticket, wake, deadline, busy)
                try:
                    return await begin()
                except TurnInProgress as still:
                    busy = still
        finally:
            self._forget(conversation_id, wake)
            with suppress(Unavailable):  # it runs out by itself
                await self._turns.leave(ticket)

    async def _come_first(
        self, ticket: int, wake: asyncio.Event, deadline: float, busy: TurnInProgress
    ) -> None:
        while True:
            wake.clear()
            self._tasks.admit()
            # At once as well: the conversation may have been freed before there was a ticket.
            ready = await self._turns.ready(ticket)
            if ready is None:
                raise busy
            if ready:
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise busy
            with suppress(TimeoutError):
                async with asyncio.timeout(min(POLL_SECONDS, left)):
                    await wake.wait()

    def _wake(self, conversation_id: UUID) -> None:
        for wake in self._wakes.get(conversation_id, ()):
            wake.set()

    def _forget(self, conversation_id: UUID, wake: asyncio.Event) -> None:
        wakes = self._wakes[conversation_id]
        wakes.discard(wake)
        if not wakes:
            del self._wakes[conversation_id]
