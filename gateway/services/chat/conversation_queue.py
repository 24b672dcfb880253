"""Queues turns of a conversation while another turn of it is running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from gateway.core.aio import BackgroundTasks
from gateway.core.exceptions import TurnInProgress, Unavailable
from gateway.domain.config.conversation_queue import ConversationQueueConfig
from gateway.domain.usage.turn_records import OpenedTurn
from gateway.repositories.turns.waiting import WaitingTurnRepository
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.execution.worker_bus import WorkerBus

# How often a waiter polls in case its notification was lost, in seconds.
POLL_SECONDS = 0.5


class ConversationQueue:
    """The waiters of this worker; their order across workers is in PostgreSQL."""

    def __init__(self, turns: WaitingTurnRepository, tasks: TurnTaskRegistry, bus: WorkerBus) -> None:
        self._turns = turns
        self._tasks = tasks
        self._bus = bus
        self._waiters: dict[UUID, set[asyncio.Event]] = {}
        self._notifications = BackgroundTasks()
        bus.subscribe("conversation_released", self._wake)

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values()))

    def notify_released(self, conversation_id: UUID) -> None:
        """Wake the waiters of a conversation whose turn has ended, on all workers.

        Returns at once.
        """
        self._notifications.spawn(self._bus.publish("conversation_released", conversation_id))

    async def begin_when_free(
        self,
        begin: Callable[[], Awaitable[OpenedTurn]],
        user_id: UUID,
        conversation_id: UUID,
        limits: ConversationQueueConfig,
        busy: TurnInProgress,
    ) -> OpenedTurn:
        """Wait until the conversation is free, then call `begin`.

        Args:
            busy: the error to raise if the conversation does not become free.

        Raises:
            TurnInProgress: too many turns wait, or it took too long.
            Unavailable: this worker is shutting down.
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
            with suppress(Unavailable):  # the ticket expires
                await self._turns.dequeue(ticket)

    async def _wait_for_turn(
        self, ticket: int, wake: asyncio.Event, deadline: float, busy: TurnInProgress
    ) -> None:
        while True:
            wake.clear()
            self._tasks.ensure_accepting()
            # Checked before waiting, too: the conversation may have been released before the ticket existed.
            ready = await self._turns.renew_ticket(ticket)
            if ready is None:
                raise busy
            if ready:
                return
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                raise busy
            with suppress(TimeoutError):
                async with asyncio.timeout(min(POLL_SECONDS, remaining)):
                    await wake.wait()

    def _wake(self, conversation_id: UUID) -> None:
        for wake in self._waiters.get(conversation_id, ()):
            wake.set()

    def _remove_waiter(self, conversation_id: UUID, wake: asyncio.Event) -> None:
        waiters = self._waiters[conversation_id]
        waiters.discard(wake)
        if not waiters:
            del self._waiters[conversation_id]
