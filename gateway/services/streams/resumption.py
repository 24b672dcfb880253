"""A turn's stream for those who come back to it, on any worker: from memory, its log, its message."""

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
from gateway.services.streams.event_replay import RESUMED_REASON, EventLogReplay, MissingEvents

log = structlog.get_logger(__name__)

# How often the message is looked at where there is no log to listen to, in seconds.
POLL_SECONDS = 0.4
# A log that is silent for so long may have lost its writer.
LOG_WAIT_SECONDS = 2.0
_RUNNING = frozenset({"pending", "streaming"})


@dataclass(frozen=True, slots=True)
class ResumableTurn:
    """A turn to be told: the feed where it runs here, else the message as it stands."""

    user_id: UUID
    message_id: UUID
    broadcast: EventBroadcast | None = None
    conversation_id: UUID | None = None
    message: StoredMessage | None = None

    def started_event(self, request_id: str) -> TurnStarted:
        """The turn's first event, as far as its message tells."""
        parent = self.message.parent_id if self.message is not None else None
        return TurnStarted(
            request_id,
            str(self.conversation_id),
            str(parent) if parent is not None else None,
            str(self.message_id),
        )


# An event with its number; the last one is an event of the turn, or its message once that is written.
NumberedEvent = tuple[int, ChatEvent | StoredMessage]


class StreamResumption:
    """Numbers stand for a state of the answer: whoever has been told of n lacks nothing that came before.

    So they are the same on every worker, from a log and from the message's row, and grow in each stream.
    """

    def __init__(self, uow: UnitOfWorkFactory, tasks: TurnTaskRegistry, events: EventLog) -> None:
        self._uow = uow
        self._tasks = tasks
        self._events = events

    async def find(self, user_id: UUID, message_id: UUID) -> ResumableTurn:
        """The turn that writes, or wrote, this answer.

        Raises:
            NotFound: there is no such answer of this account.
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
        """What came behind event `after`, then what comes; the last one is given out once, and in any case.

        Where this worker shuts down before, it just stops: the turn runs on elsewhere, and is told there.

        Raises:
            NotFound: the answer was deleted meanwhile. Unavailable: the database is away.
        """
        if turn.broadcast is not None:
            async for told in _from_broadcast(turn.broadcast, after):
                yield told
            return
        assert turn.message is not None
        replay = EventLogReplay(after)
        if turn.message.status in _RUNNING or after <= turn.message.events:
            async with aclosing(self._from_log(turn, replay)) as logged:
                async for told in logged:
                    yield told
        if not replay.last_sent:
            replay.last_sent = 1
            yield 1, turn.started_event(request_id)
        async with aclosing(self._from_message(turn, replay.last_sent, replay.text)) as stored:
            async for told in stored:
                yield told

    async def _from_log(
        self, turn: ResumableTurn, replay: EventLogReplay
    ) -> AsyncGenerator[NumberedEvent, None]:
        """What the log has, as long as the turn runs; whatever is wrong with it, the message will tell."""
        message = turn.message
        position = b"0-0"
        try:
            while not self._tasks.draining:
                running = message is not None and message.status in _RUNNING
                wait = LOG_WAIT_SECONDS if running else 0.0
                entries = await self._events.read(turn.message_id, position, wait=wait)
                for at, data in entries:
                    position = at
                    for told in replay.consume(data):
                        yield told
                if replay.ended or (not entries and not running):
                    return
                if not entries:
                    message = (await self.find(turn.user_id, turn.message_id)).message
        except ValkeyUnavailable:
            return
        except (MissingEvents, ValueError) as error:
            log.warning("turn_log_not_usable", reason=type(error).__name__)

    async def _from_message(
        self, turn: ResumableTurn, last_sent: int, text: str | None
    ) -> AsyncGenerator[NumberedEvent, None]:
        """The text as it is flushed, then how the turn ended; one whose process died ends with its lease."""
        while not self._tasks.draining:
            current = await self.find(turn.user_id, turn.message_id)
            if current.broadcast is not None:  # it had only just begun, and runs here
                async for following in _from_broadcast(current.broadcast, last_sent):
                    yield following
                return
            message = current.message
            assert message is not None
            ended = message.status not in _RUNNING
            if ended and last_sent == message.events + 1 > 1 and message.status != "interrupted":
                yield last_sent, message  # the listener has had its end already
                return
            news = _catch_up_event(message, last_sent, text) if ended or message.events > last_sent else None
            if news is not None:
                last_sent, text = max(last_sent + 1, message.events), message.content
                yield last_sent, news
            if ended:
                yield max(last_sent, message.events) + 1, message
                return
            await asyncio.sleep(POLL_SECONDS)


async def _from_broadcast(broadcast: EventBroadcast, after: int) -> AsyncGenerator[NumberedEvent, None]:
    """A feed's events; who claims to have more than there is gets the last one."""
    number = min(after, broadcast.count - 1 if broadcast.ended else broadcast.count)
    async with aclosing(broadcast.subscribe(number)) as events:
        async for event in events:
            number += 1
            yield number, event


def _catch_up_event(
    message: StoredMessage, last_sent: int, text: str | None
) -> TextDelta | TextReplaced | None:
    """What brings a listener from `text`, or from event `told`, to what the message says."""
    if text is None and last_sent == message.events:
        return None
    if text is None or not message.content.startswith(text):
        return TextReplaced(message.content, RESUMED_REASON)
    missing = message.content[len(text) :]
    return TextDelta(missing) if missing else None
