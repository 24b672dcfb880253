"""Ends turns whose worker has died, with the longest stored text of each."""

from __future__ import annotations

from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.domain.conversations.event_codec import encode_end
from gateway.repositories.turns.running import PartialText, RunningTurnRepository
from gateway.services.streams.event_log_reader import EventLogReader, MissingEvents

log = structlog.get_logger(__name__)


class OrphanedTurnRecovery:
    """Ends orphaned turns as part of every worker's maintenance.

    Concurrent runs on several workers are safe.
    """

    def __init__(self, turns: RunningTurnRepository, events: EventLog) -> None:
        self._turns = turns
        self._events = events

    async def end_orphaned_turns(self) -> int:
        """Mark answers of orphaned turns `interrupted` and release their conversations.

        Returns:
            the number of turns ended.

        Raises:
            Unavailable: the database is unreachable.
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
        """Return the text in the turn's event log, or None if the log is unusable."""
        replay, position = EventLogReader(0), b"0-0"
        try:
            while entries := await self._events.read(message_id, position):
                for at, data in entries:
                    position = at
                    for _ in replay.consume(data):
                        continue
        except (ValkeyUnavailable, MissingEvents, ValueError) as error:
            log.info("event_log.unusable", reason=type(error).__name__)
        if replay.text is None or not replay.last_sent:
            return None
        return PartialText(message_id, 0, replay.text, replay.last_sent)

    async def _log_endings(self, ended: list[PartialText]) -> None:
        """Append the end to each log, so that its readers stop waiting."""
        if not ended:
            return
        try:
            await self._events.append(
                [LogEntry(text.message_id, encode_end(text.events + 1), renews_ttl=True) for text in ended]
            )
        except ValkeyUnavailable:
            log.info("event_log.end_not_written")  # readers also poll the message
