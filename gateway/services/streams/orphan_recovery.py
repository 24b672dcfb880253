"""Ends the turns whose worker died: with all the text that was written down of them anywhere."""

from __future__ import annotations

from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.domain.conversations.event_codec import encode_end
from gateway.repositories.turns.running import PartialText, RunningTurnRepository
from gateway.services.streams.event_replay import EventLogReplay, MissingEvents

log = structlog.get_logger(__name__)


class OrphanedTurnRecovery:
    """Part of every worker's rounds; two at once do no harm."""

    def __init__(self, turns: RunningTurnRepository, events: EventLog) -> None:
        self._turns = turns
        self._events = events

    async def end_orphaned_turns(self) -> int:
        """Mark the answers of turns without a worker `interrupted`, free their conversations; how many.

        Raises:
            Unavailable: the database is away.
        """
        logged = {}
        for message_id in await self._turns.list_expired():
            if (found := await self._text_from_log(message_id)) is not None:
                logged[message_id] = found
        if logged:
            # The log is a tenth of a second behind the model, the row up to two seconds.
            await self._turns.save_recovered_texts(list(logged.values()))
        released = await self._turns.release_expired()
        await self._log_endings([logged[message_id] for message_id in released if message_id in logged])
        return len(released)

    async def _text_from_log(self, message_id: UUID) -> PartialText | None:
        """What the turn's log comes to; None where there is none, or nothing to go by."""
        replay, position = EventLogReplay(0), b"0-0"
        try:
            while entries := await self._events.read(message_id, position):
                for at, data in entries:
                    position = at
                    for _ in replay.consume(data):
                        continue
        except (ValkeyUnavailable, MissingEvents, ValueError) as error:
            log.info("turn_log_not_read", reason=type(error).__name__)
        if replay.text is None or not replay.last_sent:
            return None
        return PartialText(message_id, 0, replay.text, replay.last_sent)

    async def _log_endings(self, ended: list[PartialText]) -> None:
        """Let those who follow the logs know that nothing more comes."""
        if not ended:
            return
        try:
            await self._events.append(
                [LogEntry(text.message_id, encode_end(text.events + 1), renews_ttl=True) for text in ended]
            )
        except ValkeyUnavailable:
            log.info("endings_not_logged")  # they look at the message themselves
