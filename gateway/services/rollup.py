"""Keeps the ledger added up, so that a year of it can be looked at in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError
from gateway.domain.rollup import SLOT
from gateway.repositories.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
# Between two parts of what has piled up, so that nobody else waits for the disk.
_PAUSE_SECONDS = 0.2
# As much as one transaction adds up: some seconds of work at ten million rows a month.
_MOST_AT_ONCE = timedelta(hours=12)


class RollUp:
    """Every worker runs one; of several the first one to come does the work."""

    def __init__(self, uow: Callable[[], UnitOfWork]) -> None:
        self._uow = uow
        self._at_once = _MOST_AT_ONCE

    async def run(self) -> NoReturn:
        """Add up what is over until cancelled; what failed is met again the next time."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.catch_up(datetime.now(UTC))
            except (GatewayError, SQLAlchemyError, OSError) as error:
                log.warning("rollup.postponed", error=type(error).__name__)

    async def catch_up(self, now: datetime) -> None:
        """All that is over by `now`, a transaction for each part of it."""
        more = True
        while more:
            more = await self.step(now)
            await asyncio.sleep(_PAUSE_SECONDS if more else 0)

    async def step(self, now: datetime) -> bool:
        """The next part; whether there is more."""
        try:
            async with self._uow() as uow:
                more = await uow.usage_rollup.step(now, self._at_once)
        except BaseException:
            self._at_once = max(SLOT, self._at_once / 2)  # where so much takes longer than a statement may
            raise
        self._at_once = min(_MOST_AT_ONCE, self._at_once * 2)
        return more
