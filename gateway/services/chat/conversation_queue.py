"""Turns that wait for a conversation that is being answered, instead of being refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from gateway.core.exceptions import TurnInProgress, Unavailable
from gateway.domain.config.conversation_queue import ConversationQueueConfig
from gateway.domain.usage.turn_records import OpenedTurn
from gateway.repositories.turns.waiting import WaitingTurnRepository
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.execution.worker_bus import WorkerBus

# How often a waiter looks that no word has reached, in seconds.
POLL_SECONDS = 0.5


class ConversationQueue:
    """Waiters of this worker; their order is kept in PostgreSQL, for all workers."""

    def __init__(self, turns: WaitingTurnRepository, tasks: TurnTaskRegistry, bus: WorkerBus) -> None:
        self._turns = turns
        self._tasks = tasks
        self._bus = bus
        self._waiters: dict[UUID, set[asyncio.Event]] = {}
        self._notifications: set[asyncio.Task[Any]] = set()
        bus.subscribe("conversation_released", self._wake)

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values()))

    def notify_released(self, conversation_id: UUID) -> None:
        """A turn has ended for which others wait; returns at once."""
        task = asyncio.create_task(self._bus.publish("conversation_released", conversation_id))
        self._notifications.add(task)
        task.add_done_callback(self._notifications.discard)

    async def begin_when_free(
        self,
        begin: Callable[[], Awaitable[OpenedTurn]],
        user_id: UUID,
        conversation_id: UUID,
        limits: ConversationQueueConfig,
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
        ticket = await self._turns.enqueue(user_id, conversation_id, limits.turns)
        if ticket is None:
            raise busy
        wake = asyncio.Event()
        self._waiters.setdefault(conversation_id, set()).add(wake)
        try:
            while True:
                await self._wait_for_turn(ticket, wake, deadline, busy)
                try:
                    return await begin()
                except TurnInProgress as still:
                    busy = still
        finally:
            self._remove_waiter(conversation_id, wake)
            with suppress(Unavailable):  # it runs out by itself
                await self._turns.dequeue(ticket)

    async def _wait_for_turn(
        self, ticket: int, wake: asyncio.Event, deadline: float, busy: TurnInProgress
    ) -> None:
        while True:
            wake.clear()
            self._tasks.ensure_accepting()
            # At once as well: the conversation may have been freed before there was a ticket.
            ready = await self._turns.renew_ticket(ticket)
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
        for wake in self._waiters.get(conversation_id, ()):
            wake.set()

    def _remove_waiter(self, conversation_id: UUID, wake: asyncio.Event) -> None:
        wakes = self._waiters[conversation_id]
        wakes.discard(wake)
        if not wakes:
            del self._waiters[conversation_id]
