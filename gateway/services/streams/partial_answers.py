"""Stores partial answers of running turns, and cancels turns on request."""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

from gateway.core.aio import run_every
from gateway.core.exceptions import NotFound
from gateway.repositories.turns.running import PartialText, RunningTurnRepository
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.execution.worker_bus import WorkerBus

# A stored text is at most two ticks old. A cancellation whose message was lost takes at most one.
TICK_SECONDS = 0.9


class PartialAnswerWriter:
    """Executes one statement per tick for all persisted turns of this worker."""

    def __init__(self, tasks: TurnTaskRegistry, turns: RunningTurnRepository, bus: WorkerBus) -> None:
        self._tasks = tasks
        self._turns = turns
        self._bus = bus
        self._seen: set[UUID] = set()
        bus.subscribe("cancel", self._cancel_local)

    async def run(self) -> NoReturn:
        """Write until cancelled."""
        await run_every(TICK_SECONDS, self.tick, on_failure="partial_answers.write_failed")

    async def tick(self) -> None:
        """Write the texts that have grown, and cancel the turns marked for it.

        A turn is not written on its first tick, because most turns end before the second.
        """
        running = [turn.live for turn in self._tasks.persisted() if turn.live is not None]
        known, self._seen = self._seen, {live.message_id for live in running}
        if not running:
            return
        changed = [
            (live, len(live.broadcast))
            for live in running
            if live.message_id in known
            and len(live.broadcast) > live.persisted_count
            and not live.broadcast.closed
        ]
        texts = [_partial_text(live) for live, _ in changed]
        cancelled = await self._turns.write_partial_texts(texts, self._seen)
        for live, number in changed:
            live.persisted_count = number
        for message_id in cancelled:
            self._cancel_local(message_id)

    async def cancel_turn(self, user_id: UUID, message_id: UUID) -> str:
        """Cancel a turn on any worker. Safe to repeat.

        Returns:
            the answer's status before the call.

        Raises:
            NotFound: the account has no such answer.
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
    return PartialText(live.message_id, live.lock_token, live.accumulator.text, len(live.broadcast))
