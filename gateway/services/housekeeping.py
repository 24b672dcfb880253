"""What nobody asks for but time itself: turns of crashed workers end, next month's partitions come to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError
from gateway.repositories.turn import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 15.0
_ROUNDS_PER_PARTITION_CHECK = 240  # an hour


class Housekeeping:
    """Rounds that every worker makes; each step is one statement that is safe to run twice at once."""

    def __init__(self, uow: Callable[[], UnitOfWork], turns: TurnRepository) -> None:
        self._uow = uow
        self._turns = turns

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
        """End what no worker is answering any more; returns how many turns that were."""
        if partitions:
            async with self._uow() as uow:
                await uow.usage.ensure_partitions()
        ended = await self._turns.release_expired()
        if ended:
            log.warning("housekeeping.turns_interrupted", count=ended)
        return ended
