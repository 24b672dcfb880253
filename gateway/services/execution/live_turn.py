"""A persisted turn that runs in this worker, and its progress."""

from __future__ import annotations

from uuid import UUID

from gateway.core.aio import ReplayBuffer
from gateway.domain.events import ChatEvent, TurnCompleted, TurnFailed, TurnStarted
from gateway.services.execution.accumulator import AnswerAccumulator


class EventBroadcast(ReplayBuffer[ChatEvent]):
    """The events of one turn, numbered from 1, for any number of subscribers."""

    __slots__ = ("turn_started",)

    def __init__(self, turn_started: TurnStarted) -> None:
        super().__init__([turn_started])
        self.turn_started = turn_started

    def publish(self, event: ChatEvent) -> None:
        """Add an event; never waits. The turn's last event closes the broadcast."""
        self.append(event)
        if isinstance(event, (TurnCompleted, TurnFailed)):
            self.close()


class LiveTurn:
    """A running turn, and how many of its events are stored.

    `lock_token` is the conversation's fencing token when the turn acquired it: a newer token means that
    another worker has taken the conversation over. `persisted_count` and `logged_count` are the numbers of
    the last events that the message's row and the event log contain.
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
