"""What nobody asks for but time itself: leases are renewed or end, next month's partitions come to be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core import metrics
from gateway.core.exceptions import GatewayError
from gateway.repositories.turn import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.ledger import Ledger

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 10.0  # a quarter of a lease
_ROUNDS_PER_PARTITION_CHECK = 360  # an hour


class Housekeeping:
    """Rounds that every worker makes; each step is one statement that is safe to run twice at once."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        turns: TurnRepository,
        ledger: Ledger,
        hourly: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._uow = uow
        self._turns = turns
        self._ledger = ledger
        self._hourly = hourly

    async def run(self) -> NoReturn:
        """Make rounds until cancelled; a database that is away is met again on the next one."""
        rounds = 0
        while True:
            try:
                await self.round(partitions=rounds % _ROUNDS_PER_PARTITION_CHECK == 0)
                rounds += 1
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("housekeeping.postponed", error=type(error).__name__)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def round(self, *, partitions: bool) -> int:
        """Keep this worker's leases, end those of no worker; returns how many turns that were."""
        # First: after a while without the database, our own leases would be the ones found to have ended.
        await self._ledger.keep()
        if partitions:
            async with self._uow() as uow:
                await uow.usage.ensure_partitions()
            for chore in self._hourly:
                await chore()
        ended = await self._turns.release_expired()
        if ended:
            log.warning("housekeeping.turns_interrupted", count=ended)
        returned = await self._turns.return_expired()
        if returned:
            metrics.reservations_expired.inc(returned)
            log.warning("housekeeping.reservations_returned", count=returned)
        return ended
