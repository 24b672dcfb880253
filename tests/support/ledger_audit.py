"""Read the ledger of an account from the database and check its invariants."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.database import fetch_rows


@dataclass(frozen=True)
class AccountLedger:
    """An account's budget row, and the sums of its usage records and reservations."""

    tokens_used: int
    tokens_reserved: int
    usd_used: Decimal
    usd_reserved: Decimal
    recorded_tokens: int
    recorded_usd: Decimal
    leases: int
    leased_tokens: int
    leased_usd: Decimal

    def assert_consistent(self) -> AccountLedger:
        """Check that used equals recorded, and reserved equals the open reservations."""
        assert (self.tokens_used, self.usd_used) == (self.recorded_tokens, self.recorded_usd)
        assert (self.tokens_reserved, self.usd_reserved) == (self.leased_tokens, self.leased_usd)
        return self


async def read_ledger(engine: AsyncEngine, user_id: UUID | str) -> AccountLedger:
    """Read an account's ledger; zeros if it has none."""
    (row,) = await fetch_rows(
        engine,
        """
        SELECT coalesce(max(b.tokens_used), 0) AS tokens_used,
               coalesce(max(b.tokens_reserved), 0) AS tokens_reserved,
               coalesce(max(b.usd_used), 0) AS usd_used, coalesce(max(b.usd_reserved), 0) AS usd_reserved,
               (SELECT coalesce(sum(prompt_tokens + completion_tokens), 0)
                FROM usage_records WHERE user_id = :id) AS recorded_tokens,
               (SELECT coalesce(sum(cost_usd), 0) FROM usage_records WHERE user_id = :id) AS recorded_usd,
               (SELECT count(*) FROM reservations WHERE user_id = :id) AS leases,
               (SELECT coalesce(sum(tokens), 0) FROM reservations WHERE user_id = :id) AS leased_tokens,
               (SELECT coalesce(sum(usd), 0) FROM reservations WHERE user_id = :id) AS leased_usd
        FROM budgets b WHERE b.user_id = :id
        """,
        id=UUID(str(user_id)),
    )
    return AccountLedger(**row)


async def wait_settled(engine: AsyncEngine, user_id: UUID | str) -> AccountLedger:
    """Read the ledger once nothing is reserved: turns end after their clients disconnect."""
    async with asyncio.timeout(30):
        while (found := await read_ledger(engine, user_id)).leases:  # noqa: ASYNC110 - rows tell nobody
            await asyncio.sleep(0.01)
    return found.assert_consistent()
