"""Periodic maintenance: renew or expire leases, create next month's partitions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NoReturn
from uuid import UUID

import structlog

from gateway.core.aio import run_every
from gateway.core.metrics import registry as metrics
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.streams.orphan_recovery import OrphanedTurnRecovery
from gateway.services.usage.ledger import Ledger

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0  # a quarter of a lease
# A turn that has been closed may still be registered here for a moment after its lease ended.
_END_GRACE_SECONDS = 1.0
_RUNS_PER_HOUR = 720


class MaintenanceJob:
    """Periodic maintenance in every worker; each step is safe to run concurrently."""

    # One parameter per collaborator or setting; only the composition root calls it.
    def __init__(
        self,
        uow: UnitOfWorkFactory,
        turns: TurnRepository,
        ledger: Ledger,
        orphan_recovery: OrphanedTurnRecovery,
        tasks: TurnTaskRegistry,
        hourly_tasks: Sequence[Callable[[], Awaitable[None]]] = (),
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._uow = uow
        self._turns = turns
        self._ledger = ledger
        self._orphan_recovery = orphan_recovery
        self._tasks = tasks
        self._hourly_tasks = hourly_tasks
        self._interval = interval
        self._runs = 0
        self._failed = False  # whether the last run failed, as during a database outage

    async def run(self) -> NoReturn:
        """Run until cancelled; an unreachable database is retried on the next run."""
        await run_every(self._interval, self._tick, on_failure="maintenance.postponed", immediately=True)

    async def _tick(self) -> None:
        expire_others, self._failed = not self._failed, True
        await self.run_once(run_hourly_tasks=self._runs % _RUNS_PER_HOUR == 0, expire_others=expire_others)
        self._runs += 1
        self._failed = False

    async def _cancel_lost_turns(self, message_ids: Collection[UUID]) -> None:
        """Cancel turns whose conversation another worker took over; most have just ended."""
        still_running = [
            (id_, turn) for id_ in message_ids if (turn := self._tasks.by_message(id_)) is not None
        ]
        if not still_running:
            return
        await asyncio.sleep(_END_GRACE_SECONDS)
        for message_id, turn in still_running:
            if self._tasks.by_message(message_id) is turn:
                log.warning("maintenance.turn_lost", message_id=str(message_id))
                turn.cancel()

    async def run_once(self, *, run_hourly_tasks: bool, expire_others: bool = True) -> int:
        """Renew this worker's leases and recover orphaned turns; return how many were recovered.

        Args:
            run_hourly_tasks: also create partitions and run the hourly tasks.
            expire_others: False after a database outage, so that other workers can renew their leases first.
        """
        # Renewed first: after an outage, this worker's own leases would be found expired.
        if lost_turns := await self._ledger.renew_leases():
            await self._cancel_lost_turns(lost_turns)
        if run_hourly_tasks:
            async with self._uow() as uow:
                await uow.usage.ensure_partitions()
            for task in self._hourly_tasks:
                await task()
        if not expire_others:
            return 0
        recovered = await self._orphan_recovery.end_orphaned_turns()
        if recovered:
            log.warning("maintenance.turns_interrupted", count=recovered)
        released = await self._turns.release_expired()
        if released:
            metrics.reservations_expired.inc(released)
            log.warning("maintenance.reservations_released", count=released)
        return recovered
