"""Keeps the rows of running answers up to date, and stops turns that somebody has called off."""

from __future__ import annotations

import asyncio
from typing import NoReturn
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError, NotFound
from gateway.repositories.running_turn import RunningTurnRepository, TextSoFar
from gateway.services.bus import Bus
from gateway.services.live import LiveTurn
from gateway.services.turns import TurnTasks

log = structlog.get_logger(__name__)

# A text is at most two ticks old, a cancellation that no word spread at most one.
TICK_SECONDS = 0.9


class Keeper:
    """One statement a tick for all kept turns of this worker, and none while there are none."""

    def __init__(self, tasks: TurnTasks, turns: RunningTurnRepository, bus: Bus) -> None:
        self._tasks = tasks
        self._turns = turns
        self._bus = bus
        self._met: set[UUID] = set()
        bus.on("cancel", self._stop)

    async def run(self) -> NoReturn:
        """Keep until cancelled; a database that is away is met again on the next tick."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("texts_not_kept", error=type(error).__name__)
            except Exception:
                log.exception("texts_not_kept")

    async def tick(self) -> None:
        """Write down what has been said since the last time, and ask who is to stop.

        A turn that was not here the last time is not written to: most are over before the next one.
        """
        here = [turn.live for turn in self._tasks.kept() if turn.live is not None]
        known, self._met = self._met, {live.message_id for live in here}
        if not here:
            return
        news = [
            (live, live.feed.count)
            for live in here
            if live.message_id in known and live.feed.count > live.flushed and not live.feed.ended
        ]
        stopping = await self._turns.flush([_text(live) for live, _ in news], self._met)
        for live, number in news:
            live.flushed = number
        for message_id in stopping:
            self._stop(message_id)

    async def cancel(self, user_id: UUID, message_id: UUID) -> str:
        """Have a turn stopped, on whichever worker it runs; the answer's status as it was. Safe to repeat.

        Raises:
            NotFound: no answer of this account.
        """
        status = await self._turns.ask_to_cancel(user_id, message_id)
        if status is None:
            raise NotFound
        if status in ("pending", "streaming"):
            await self._bus.say("cancel", message_id)
        return status

    def _stop(self, message_id: UUID) -> None:
        running = self._tasks.answering(message_id)
        if running is not None:
            running.cancel()


def _text(live: LiveTurn) -> TextSoFar:
    return TextSoFar(live.message_id, live.lock_token, live.progress.text, live.feed.count)
