"""The ledger's partitions; its rows are written by `TurnRepository`."""

from __future__ import annotations

from sqlalchemy import func, select

from gateway.repositories.base import Repository


class UsageRepository(Repository):
    """What a running gateway has to do for the ledger besides writing to it."""

    async def ensure_partitions(self, months_ahead: int = 3) -> int:
        """Give this month and the next ones a partition each; how many were made."""
        return int(await self._session.scalar(select(func.ensure_usage_partitions(months_ahead))) or 0)
