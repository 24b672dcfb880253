"""Turns run in tasks of their own under the worker, never under a request, and are drained at its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from uuid import UUID

from gateway.core.exceptions import Unavailable
from gateway.domain.events import ChatEvent
from gateway.domain.principal import Principal

# What a cancelled task is told, and reads again from the CancelledError.
INTERRUPTED = "interrupted"
CANCELLED = "cancelled"

DRAIN_SECONDS = 25.0


class EventChannel:
    """The events of one turn on their way to one listener; holds at most what the turn says."""

    def __init__(self) -> None:
        self._events: deque[ChatEvent] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._closed = False

    def put(self, event: ChatEvent) -> None:
        """Add an event; never waits, so that a slow listener holds up no turn."""
        self._events.append(event)
        self._notify()

    def close(self) -> None:
        """No more events come."""
        self._closed = True
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def __aiter__(self) -> AsyncIterator[ChatEvent]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake


class TurnTasks:
    """All turns of this worker that are running."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Principal | None] = {}
        self._draining = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def draining(self) -> bool:
        return self._draining

    def __len__(self) -> int:
        return len(self._tasks)

    def admit(self) -> None:
        """Raises Unavailable once the worker is shutting down."""
        if self._draining:
            raise Unavailable("The gateway is restarting; try again in a moment.", retry_after=2)

    def start(
        self, run: Callable[[], Coroutine[Any, Any, None]], *, owner: Principal | None = None
    ) -> asyncio.Task[None]:
        """Run a turn to its end, whoever listens; the worker keeps hold of it and knows whose it is."""
        task = asyncio.create_task(run())
        self._tasks[task] = owner
        task.add_done_callback(self._tasks.pop)
        return task

    def owners(self) -> set[tuple[UUID, UUID | None]]:
        """(account, session) of every running turn; a key's turns have no session."""
        return {(owner.user_id, owner.session_id) for owner in self._tasks.values() if owner is not None}

    def cancel_owner(self, user_id: UUID, sessions: frozenset[UUID] | None = None) -> int:
        """Cancel the account's turns, or only those of `sessions`; returns how many there were."""
        ended = [
            task
            for task, owner in self._tasks.items()
            if owner is not None
            and owner.user_id == user_id
            and (sessions is None or owner.session_id in sessions)
        ]
        for task in ended:
            _cancel(task, CANCELLED)
        return len(ended)

    def begin_draining(self, grace: float = DRAIN_SECONDS) -> None:
        """Admit no new turns and interrupt what still runs after `grace` seconds; returns at once."""
        if self._draining:
            return
        self._draining = True
        self._deadline = asyncio.get_running_loop().call_later(grace, self._interrupt)

    async def idle(self) -> None:
        """Wait until no turn is running."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def drained(self, grace: float = DRAIN_SECONDS) -> None:
        """Wait until every turn has ended and is written down."""
        self.begin_draining(grace)
        await self.idle()
        if self._deadline is not None:
            self._deadline.cancel()

    def _interrupt(self) -> None:
        for task in self._tasks:
            _cancel(task, INTERRUPTED)


def _cancel(task: asyncio.Task[None], reason: str) -> None:
    # Not at once: a task that has not begun could not write down that it was called off.
    asyncio.get_running_loop().call_soon(task.cancel, reason)
