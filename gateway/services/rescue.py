"""Ends the turns whose worker died: with all the text that was written down of them anywhere."""

from __future__ import annotations

from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.domain.event_batches import pack_end
from gateway.repositories.running_turn import RunningTurnRepository, TextSoFar
from gateway.services.replay import Gap, Replay

log = structlog.get_logger(__name__)


class Rescue:
    """Part of every worker's rounds; two at once do no harm."""

    def __init__(self, turns: RunningTurnRepository, events: EventLog) -> None:
        self._turns = turns
        self._events = events

    async def end_abandoned(self) -> int:
        """Mark the answers of turns without a worker `interrupted`, free their conversations; how many.

        Raises:
            Unavailable: the database is away.
        """
        logged = {}
        for message_id in await self._turns.expired():
            if (found := await self._logged(message_id)) is not None:
                logged[message_id] = found
        if logged:
            # The log is a tenth of a second behind the model, the row up to two seconds.
            await self._turns.rescue(list(logged.values()))
        released = await self._turns.release_expired()
        await self._tell([logged[message_id] for message_id in released if message_id in logged])
        return len(released)

    async def _logged(self, message_id: UUID) -> TextSoFar | None:
        """What the turn's log comes to; None where there is none, or nothing to go by."""
        replay, position = Replay(0), b"0-0"
        try:
            while entries := await self._events.read(message_id, position):
                for at, data in entries:
                    position = at
                    for _ in replay.take(data):
                        continue
        except (ValkeyUnavailable, Gap, ValueError) as error:
            log.info("turn_log_not_read", reason=type(error).__name__)
        if replay.text is None or not replay.told:
            return None
        return TextSoFar(message_id, 0, replay.text, replay.told)

    async def _tell(self, ended: list[TextSoFar]) -> None:
        """Let those who follow the logs know that nothing more comes."""
        if not ended:
            return
        try:
            await self._events.append(
                [LogEntry(text.message_id, pack_end(text.events + 1), renews=True) for text in ended]
            )
        except ValkeyUnavailable:
            log.info("endings_not_logged")  # they look at the message themselves
