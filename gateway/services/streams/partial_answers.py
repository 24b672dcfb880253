"""Keeps the rows of running answers up to date, and stops turns that somebody has called off."""

from __future__ import annotations

import asyncio
from typing import NoReturn
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError, NotFound
from gateway.repositories.turns.running import PartialText, RunningTurnRepository
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.execution.worker_bus import WorkerBus

log = structlog.get_logger(__name__)

# A text is at most two ticks old, a cancellation that no word spread at most one.
TICK_SECONDS = 0.9


class PartialAnswerWriter:
    """One statement a tick for all kept turns of this worker, and none while there are none."""

    def __init__(self, tasks: TurnTaskRegistry, turns: RunningTurnRepository, bus: WorkerBus) -> None:
        self._tasks = tasks
        self._turns = turns
        self._bus = bus
        self._seen: set[UUID] = set()
        bus.subscribe("cancel", self._cancel_local)

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
        running = [turn.live for turn in self._tasks.persisted() if turn.live is not None]
        known, self._seen = self._seen, {live.message_id for live in running}
        if not running:
            return
        changed = [
            (live, live.broadcast.count)
            for live in running
            if live.message_id in known
            and live.broadcast.count > live.persisted_count
            and not live.broadcast.ended
        ]
        cancelled = await self._turns.write_partial_texts(
            [_partial_text(live) for live, _ in changed], self._seen
        )
        for live, number in changed:
            live.persisted_count = number
        for message_id in cancelled:
            self._cancel_local(message_id)

    async def cancel(self, user_id: UUID, message_id: UUID) -> str:
        """Have a turn stopped, on whichever worker it runs; the answer's status as it was. Safe to repeat.

        Raises:
            NotFound: no answer of this account.
        """
        status = await self._turns.request_cancellation(user_id, message_id)
        if status is None:
            raise NotFound
        if status in ("pending", "streaming"):
            await self._bus.publish("cancel", message_id)
        return status

    def _cancel_local(self, message_id: UUID) -> None:
        turn_task = self._tasks.by_message(message_id)
        if turn_task is not None:
            turn_task.cancel()


def _partial_text(live: LiveTurn) -> PartialText:
    return PartialText(live.message_id, live.lock_token, live.accumulator.text, live.broadcast.count)
