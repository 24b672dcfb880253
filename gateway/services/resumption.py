"""A turn's stream for those who come back to it, on any worker: from memory, its log, its message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog
from gateway.core.exceptions import NotFound
from gateway.domain.conversation import StoredMessage
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced, TurnStarted
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.live import Feed
from gateway.services.replay import TAKEN_UP, Gap, Replay
from gateway.services.turns import TurnTasks

log = structlog.get_logger(__name__)

# How often the message is looked at where there is no log to listen to, in seconds.
POLL_SECONDS = 0.4
# A log that is silent for so long may have lost its writer.
PATIENCE_SECONDS = 2.0
_RUNNING = frozenset({"pending", "streaming"})


@dataclass(frozen=True, slots=True)
class Found:
    """A turn to be told: the feed where it runs here, else the message as it stands."""

    user_id: UUID
    message_id: UUID
    feed: Feed | None = None
    conversation_id: UUID | None = None
    message: StoredMessage | None = None

    def started(self, request_id: str) -> TurnStarted:
        """The turn's first event, as far as its message tells."""
        parent = self.message.parent_id if self.message is not None else None
        return TurnStarted(
            request_id,
            str(self.conversation_id),
            str(parent) if parent is not None else None,
            str(self.message_id),
        )


# An event with its number; the last one is an event of the turn, or its message once that is written.
Told = tuple[int, ChatEvent | StoredMessage]


class Resumption:
    """Numbers stand for a state of the answer: whoever has been told of n lacks nothing that came before.

    So they are the same on every worker, from a log and from the message's row, and grow in each stream.
    """

    def __init__(self, uow: Callable[[], UnitOfWork], tasks: TurnTasks, events: EventLog) -> None:
        self._uow = uow
        self._tasks = tasks
        self._events = events

    async def find(self, user_id: UUID, message_id: UUID) -> Found:
        """The turn that writes, or wrote, this answer.

        Raises:
            NotFound: there is no such answer of this account.
        """
        running = self._tasks.answering(message_id)
        if running is not None and running.live is not None:
            if running.live.user_id != user_id:
                raise NotFound
            return Found(user_id, message_id, running.live.feed)
        async with self._uow() as uow:
            found = await uow.messages.get(user_id, message_id)
        if found is None or found[1].role != "assistant":
            raise NotFound
        return Found(user_id, message_id, None, *found)

    async def follow(self, found: Found, after: int, request_id: str) -> AsyncGenerator[Told, None]:
        """What came behind event `after`, then what comes; the last one is given out once, and in any case.

        Where this worker shuts down before, it just stops: the turn runs on elsewhere, and is told there.

        Raises:
            NotFound: the answer was deleted meanwhile. Unavailable: the database is away.
        """
        if found.feed is not None:
            async for told in _from(found.feed, after):
                yield told
            return
        assert found.message is not None
        replay = Replay(after)
        if found.message.status in _RUNNING or after <= found.message.events:
            async with aclosing(self._from_log(found, replay)) as logged:
                async for told in logged:
                    yield told
        if not replay.told:
            replay.told = 1
            yield 1, found.started(request_id)
        async with aclosing(self._from_message(found, replay.told, replay.text)) as stored:
            async for told in stored:
                yield told

    async def _from_log(self, found: Found, replay: Replay) -> AsyncGenerator[Told, None]:
        """What the log has, as long as the turn runs; whatever is wrong with it, the message will tell."""
        message = found.message
        position = b"0-0"
        try:
            while not self._tasks.draining:
                running = message is not None and message.status in _RUNNING
                wait = PATIENCE_SECONDS if running else 0.0
                entries = await self._events.read(found.message_id, position, wait=wait)
                for at, data in entries:
                    position = at
                    for told in replay.take(data):
                        yield told
                if replay.ended or (not entries and not running):
                    return
                if not entries:
                    message = (await self.find(found.user_id, found.message_id)).message
        except ValkeyUnavailable:
            return
        except (Gap, ValueError) as error:
            log.warning("turn_log_not_usable", reason=type(error).__name__)

    async def _from_message(self, found: Found, told: int, text: str | None) -> AsyncGenerator[Told, None]:
        """The text as it is flushed, then how the turn ended; one whose process died ends with its lease."""
        while not self._tasks.draining:
            current = await self.find(found.user_id, found.message_id)
            if current.feed is not None:  # it had only just begun, and runs here
                async for following in _from(current.feed, told):
                    yield following
                return
            message = current.message
            assert message is not None
            over = message.status not in _RUNNING
            if over and told == message.events + 1 > 1 and message.status != "interrupted":
                yield told, message  # the listener has had its end already
                return
            news = _news(message, told, text) if over or message.events > told else None
            if news is not None:
                told, text = max(told + 1, message.events), message.content
                yield told, news
            if over:
                yield max(told, message.events) + 1, message
                return
            await asyncio.sleep(POLL_SECONDS)


async def _from(feed: Feed, after: int) -> AsyncGenerator[Told, None]:
    """A feed's events; who claims to have more than there is gets the last one."""
    number = min(after, feed.count - 1 if feed.ended else feed.count)
    async with aclosing(feed.follow(number)) as events:
        async for event in events:
            number += 1
            yield number, event


def _news(message: StoredMessage, told: int, text: str | None) -> TextDelta | TextReplaced | None:
    """What brings a listener from `text`, or from event `told`, to what the message says."""
    if text is None and told == message.events:
        return None
    if text is None or not message.content.startswith(text):
        return TextReplaced(message.content, TAKEN_UP)
    rest = message.content[len(text) :]
    return TextDelta(rest) if rest else None
