"""A kept turn while it runs here: what it has said, for its listeners, its log and its message's row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from gateway.domain.events import ChatEvent, TurnCompleted, TurnFailed, TurnStarted
from gateway.services.execution.accumulator import AnswerAccumulator


class EventBroadcast:
    """Events of one turn, numbered from 1, for any number of listeners; a slow one costs only its place."""

    __slots__ = ("_events", "_waiters", "ended")

    def __init__(self, first: TurnStarted) -> None:
        self._events: list[ChatEvent] = [first]
        self._waiters: list[asyncio.Future[None]] = []
        self.ended = False

    @property
    def count(self) -> int:
        """The number of the last event."""
        return len(self._events)

    @property
    def turn_started(self) -> TurnStarted:
        first = self._events[0]
        assert isinstance(first, TurnStarted)
        return first

    def publish(self, event: ChatEvent) -> None:
        """Add an event; never waits. The turn's last event ends it."""
        self._events.append(event)
        if isinstance(event, (TurnCompleted, TurnFailed)):
            self.ended = True
        if self._waiters:
            waiting, self._waiters = self._waiters, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def events_after(self, number: int) -> Sequence[ChatEvent]:
        """The events behind `number` that there are."""
        return self._events[number:]

    async def subscribe(self, number: int) -> AsyncGenerator[ChatEvent, None]:
        """The events behind `number`, to the turn's last one."""
        events = self._events
        while True:
            while number < len(events):
                event = events[number]
                number += 1
                yield event
            if self.ended:
                return
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            try:
                await future
            finally:
                if not future.done() or future.cancelled():
                    self._remove_waiter(future)

    def _remove_waiter(self, future: asyncio.Future[None]) -> None:
        if future in self._waiters:
            self._waiters.remove(future)


class LiveTurn:
    """`lock_token` is the conversation's when the turn took it: whoever has a newer one has taken it over.

    `flushed` and `logged` are the numbers of the last events that the message's row and the log have.
    """

    __slots__ = (
        "accumulator",
        "broadcast",
        "conversation_id",
        "lock_token",
        "logged_count",
        "message_id",
        "persisted_count",
        "user_id",
    )

    def __init__(
        self, user_id: UUID, conversation_id: UUID, message_id: UUID, lock_token: int, first: TurnStarted
    ) -> None:
        self.user_id = user_id
        self.conversation_id = conversation_id
        self.message_id = message_id
        self.lock_token = lock_token
        self.broadcast = EventBroadcast(first)
        self.accumulator = AnswerAccumulator()
        self.persisted_count = 1
        self.logged_count = 0
