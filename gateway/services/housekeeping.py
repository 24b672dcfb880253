"""What nobody asks for but time itself: leases are renewed or end, next month's partitions come to be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NoReturn
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import metrics
from gateway.core.exceptions import GatewayError
from gateway.repositories.turn import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.ledger import Ledger
from gateway.services.rescue import Rescue
from gateway.services.turns import TurnTasks

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0  # a quarter of a lease
# A turn that has written its end may still be on its way out of this process when its lease is asked for.
_JUST_ENDED_SECONDS = 1.0
_ROUNDS_PER_PARTITION_CHECK = 720  # an hour


class Housekeeping:
    """Rounds that every worker makes; each step is one statement that is safe to run twice at once."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        turns: TurnRepository,
        ledger: Ledger,
        rescue: Rescue,
        tasks: TurnTasks,
        hourly: Sequence[Callable[[], Awaitable[None]]] = (),
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._uow = uow
        self._turns = turns
        self._ledger = ledger
        self._rescue = rescue
        self._tasks = tasks
        self._hourly = hourly
        self._interval = interval

    async def run(self) -> NoReturn:
        """Make rounds until cancelled; a database that is away is met again on the next one."""
        rounds = 0
        away = False
        while True:
            try:
                await self.round(partitions=rounds % _ROUNDS_PER_PARTITION_CHECK == 0, sweep=not away)
                rounds += 1
                away = False
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("housekeeping.postponed", error=type(error).__name__)
                away = True
            await asyncio.sleep(self._interval)

    async def _end_lost(self, message_ids: Collection[UUID]) -> None:
        """End the turns whose conversations another worker took; most have just ended by themselves."""
        suspects = [(each, turn) for each in message_ids if (turn := self._tasks.answering(each)) is not None]
        if not suspects:
            return
        await asyncio.sleep(_JUST_ENDED_SECONDS)
        for message_id, turn in suspects:
            if self._tasks.answering(message_id) is turn:
                log.warning("housekeeping.turn_lost", message_id=str(message_id))
                turn.cancel()

    async def round(self, *, partitions: bool, sweep: bool = True) -> int:
        """Keep this worker's leases, end those of no worker; returns how many turns that were.

        Args:
            sweep: False where the database has been away: the others are to keep their leases first.
        """
        # First: after a while without the database, our own leases would be the ones found to have ended.
        if lost := await self._ledger.keep():
            await self._end_lost(lost)
        if partitions:
            async with self._uow() as uow:
                await uow.usage.ensure_partitions()
            for chore in self._hourly:
                await chore()
        if not sweep:
            return 0
        ended = await self._rescue.end_abandoned()
        if ended:
            log.warning("housekeeping.turns_interrupted", count=ended)
        returned = await self._turns.return_expired()
        if returned:
            metrics.reservations_expired.inc(returned)
            log.warning("housekeeping.reservations_returned", count=returned)
        return ended
