"""Aggregates usage records, so that statistics over long ranges are fast."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from gateway.core.aio import run_every
from gateway.domain.usage.rollup import SLOT_LENGTH
from gateway.repositories.unit_of_work import UnitOfWorkFactory

INTERVAL_SECONDS = 60.0
# Seconds between two steps of a backlog, to leave disk bandwidth to other queries.
_PAUSE_SECONDS = 0.2
# The largest range per transaction: a few seconds of work at ten million rows a month.
_MAX_STEP = timedelta(hours=12)


class RollupJob:
    """Aggregates usage records.

    Every worker runs it, and the first to take the lock does the work.
    """

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow
        self._step_size = _MAX_STEP

    async def run(self) -> NoReturn:
        """Run until cancelled; a failed step is retried on the next run."""
        await run_every(
            INTERVAL_SECONDS, lambda: self.catch_up(datetime.now(UTC)), on_failure="rollup.postponed"
        )

    async def catch_up(self, now: datetime) -> None:
        """Aggregate everything completed by `now`, one transaction per step."""
        more = True
        while more:
            more = await self.roll_up_next(now)
            await asyncio.sleep(_PAUSE_SECONDS if more else 0)

    async def roll_up_next(self, now: datetime) -> bool:
        """Aggregate the next step; return whether more is left."""
        try:
            async with self._uow() as uow:
                more = await uow.usage_rollup.roll_up_next(now, self._step_size)
        except BaseException:
            self._step_size = max(
                SLOT_LENGTH, self._step_size / 2
            )  # in case a large step exceeds the statement timeout
            raise
        self._step_size = min(_MAX_STEP, self._step_size * 2)
        return more
