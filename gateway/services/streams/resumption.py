"""Resumes a turn's stream on any worker: from memory, event log or message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog
from gateway.core.exceptions import NotFound
from gateway.domain.conversations.models import StoredMessage
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced, TurnStarted
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.execution.live_turn import EventBroadcast
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.streams.event_log_reader import RESUMED_REASON, EventLogReader, MissingEvents

log = structlog.get_logger(__name__)

# How often the message is polled where there is no event log to wait for, in seconds.
POLL_SECONDS = 0.4
# An event log that stays silent for this long may have lost its writer.
LOG_WAIT_SECONDS = 2.0
_RUNNING = frozenset({"pending", "streaming"})


@dataclass(frozen=True, slots=True)
class ResumableTurn:
    """A turn to stream: its broadcast if it runs in this worker, else its message."""

    user_id: UUID
    message_id: UUID
    broadcast: EventBroadcast | None = None
    conversation_id: UUID | None = None
    message: StoredMessage | None = None

    def started_event(self, request_id: str) -> TurnStarted:
        """Return the turn's first event, with the fields that its message stores."""
        parent = self.message.parent_id if self.message is not None else None
        return TurnStarted(
            request_id,
            str(self.conversation_id),
            str(parent) if parent is not None else None,
            str(self.message_id),
        )


# An event with its number. The last one is the turn's last event, or its message once that is complete.
NumberedEvent = tuple[int, ChatEvent | StoredMessage]


class StreamResumption:
    """Streams a turn from an event number onwards.

    Event numbers increase within a turn and are the same on every worker, whether read from the event log or
    from the message. A client that has event n has everything before it.
    """

    def __init__(self, uow: UnitOfWorkFactory, tasks: TurnTaskRegistry, events: EventLog) -> None:
        self._uow = uow
        self._tasks = tasks
        self._events = events

    async def find(self, user_id: UUID, message_id: UUID) -> ResumableTurn:
        """Return the turn that writes, or wrote, this answer.

        Raises:
            NotFound: the account has no such answer.
        """
        running = self._tasks.by_message(message_id)
        if running is not None and running.live is not None:
            if running.live.user_id != user_id:
                raise NotFound
            return ResumableTurn(user_id, message_id, running.live.broadcast)
        async with self._uow() as uow:
            found = await uow.messages.get(user_id, message_id)
        if found is None or found[1].role != "assistant":
            raise NotFound
        return ResumableTurn(user_id, message_id, None, *found)

    async def stream(
        self, turn: ResumableTurn, after: int, request_id: str
    ) -> AsyncGenerator[NumberedEvent, None]:
        """Yield the events after number `after`, past and future.

        The turn's last event is always sent, exactly once. If this worker shuts down first, the stream ends
        without it, and the client resumes on another worker.

        Raises:
            NotFound: the answer was deleted meanwhile. Unavailable: the database is unreachable.
        """
        if turn.broadcast is not None:
            async for numbered in _from_broadcast(turn.broadcast, after):
                yield numbered
            return
        assert turn.message is not None
        replay = EventLogReader(after)
        if turn.message.status in _RUNNING or after <= turn.message.events:
            async with aclosing(self._from_log(turn, replay)) as logged:
                async for numbered in logged:
                    yield numbered
        if not replay.last_sent:
            replay.last_sent = 1
            yield 1, turn.started_event(request_id)
        async with aclosing(self._from_message(turn, replay.last_sent, replay.text)) as stored:
            async for numbered in stored:
                yield numbered

    async def _from_log(
        self, turn: ResumableTurn, replay: EventLogReader
    ) -> AsyncGenerator[NumberedEvent, None]:
        """Yield the logged events while the turn runs; end early if the log is unusable."""
        message = turn.message
        position = b"0-0"
        try:
            while not self._tasks.draining:
                running = message is not None and message.status in _RUNNING
                wait = LOG_WAIT_SECONDS if running else 0.0
                entries = await self._events.read(turn.message_id, position, wait=wait)
                for at, data in entries:
                    position = at
                    for numbered in replay.consume(data):
                        yield numbered
                if replay.ended or (not entries and not running):
                    return
                if not entries:
                    message = (await self.find(turn.user_id, turn.message_id)).message
        except ValkeyUnavailable:
            return
        except (MissingEvents, ValueError) as error:
            log.warning("event_log.unusable", reason=type(error).__name__)

    async def _from_message(
        self, turn: ResumableTurn, last_sent: int, text: str | None
    ) -> AsyncGenerator[NumberedEvent, None]:
        """Yield the stored text as it grows, then the turn's last event.

        An orphaned turn ends when its lease expires.
        """
        while not self._tasks.draining:
            current = await self.find(turn.user_id, turn.message_id)
            if current.broadcast is not None:  # the turn has only just started, in this worker
                async for numbered in _from_broadcast(current.broadcast, last_sent):
                    yield numbered
                return
            message = current.message
            assert message is not None
            ended = message.status not in _RUNNING
            if ended and last_sent == message.events + 1 > 1 and message.status != "interrupted":
                yield last_sent, message  # the client has the end already
                return
            missing = ended or message.events > last_sent
            event = _catch_up_event(message, last_sent, text) if missing else None
            if event is not None:
                last_sent, text = max(last_sent + 1, message.events), message.content
                yield last_sent, event
            if ended:
                yield max(last_sent, message.events) + 1, message
                return
            await asyncio.sleep(POLL_SECONDS)


async def _from_broadcast(broadcast: EventBroadcast, after: int) -> AsyncGenerator[NumberedEvent, None]:
    """Yield the events of a broadcast after number `after`.

    If `after` is larger than the number of events, the last event is sent again.
    """
    count = len(broadcast)
    number = min(after, count - 1 if broadcast.closed else count)
    async with aclosing(broadcast.subscribe(number)) as events:
        async for event in events:
            number += 1
            yield number, event


def _catch_up_event(
    message: StoredMessage, last_sent: int, text: str | None
) -> TextDelta | TextReplaced | None:
    """Return the event that updates a client to the message's content, or None.

    The client has `text`, or, if that is None, event `last_sent`.
    """
    if text is None and last_sent == message.events:
        return None
    if text is None or not message.content.startswith(text):
        return TextReplaced(message.content, RESUMED_REASON)
    missing = message.content[len(text) :]
    return TextDelta(missing) if missing else None
