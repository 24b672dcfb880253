"""Keeps the ledger added up, so that a year of it can be looked at in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError
from gateway.domain.usage.rollup import SLOT_LENGTH
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 60.0
# Between two parts of what has piled up, so that nobody else waits for the disk.
_PAUSE_SECONDS = 0.2
# As much as one transaction adds up: some seconds of work at ten million rows a month.
_MAX_STEP = timedelta(hours=12)


class RollupJob:
    """Every worker runs one; of several the first one to come does the work."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        self._uow = uow
        self._step_size = _MAX_STEP

    async def run(self) -> NoReturn:
        """Add up what is over until cancelled; what failed is met again the next time."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                await self.catch_up(datetime.now(UTC))
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("rollup.postponed", error=type(error).__name__)

    async def catch_up(self, now: datetime) -> None:
        """All that is over by `now`, a transaction for each part of it."""
        more = True
        while more:
            more = await self.roll_up_next(now)
            await asyncio.sleep(_PAUSE_SECONDS if more else 0)

    async def roll_up_next(self, now: datetime) -> bool:
        """The next part; whether there is more."""
        try:
            async with self._uow() as uow:
                more = await uow.usage_rollup.roll_up_next(now, self._step_size)
        except BaseException:
            self._step_size = max(
                SLOT_LENGTH, self._step_size / 2
            )  # where so much takes longer than a statement may
            raise
        self._step_size = min(_MAX_STEP, self._step_size * 2)
        return more
