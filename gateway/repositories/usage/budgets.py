"""Reads budgets, and counts bytes stored outside of turns."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

from sqlalchemy import case, literal, select, text

from gateway.domain.usage.budgets import BudgetState
from gateway.models.base import Money
from gateway.models.budget import Budget
from gateway.repositories.base import Repository

_TODAY = text("(now() AT TIME ZONE 'UTC')::date")
_THIS_MONTH = text("date_trunc('month', now() AT TIME ZONE 'UTC')::date")

# Deleting is always allowed. The sum never becomes negative, even for data stored before bytes were counted.
_ADD_STORED_BYTES = text(
    f"""
    INSERT INTO budgets AS b (user_id, day, month, stored_bytes)
    SELECT CAST(:user AS uuid), {_TODAY}, {_THIS_MONTH}, greatest(CAST(:size AS bigint), 0)
    WHERE CAST(:most AS bigint) IS NULL OR :size <= :most
    ON CONFLICT (user_id) DO UPDATE SET stored_bytes = greatest(b.stored_bytes + :size, 0)
    WHERE CAST(:most AS bigint) IS NULL OR :size <= 0 OR b.stored_bytes + :size <= :most
    RETURNING user_id
    """
)


class BudgetRepository(Repository):
    """An account's budget as of today and of this month."""

    async def get(self, user_id: UUID) -> BudgetState:
        """Return the account's budget; all zero if it has used nothing yet."""
        statement = select(
            case((Budget.day >= _TODAY, Budget.tokens_used), else_=0),
            Budget.tokens_reserved,
            case((Budget.month >= _THIS_MONTH, Budget.usd_used), else_=literal(Decimal(0), Money)),
            Budget.usd_reserved,
            Budget.stored_bytes,
        ).where(Budget.user_id == user_id)
        row = (await self._session.execute(statement)).one_or_none()
        return BudgetState() if row is None else BudgetState(*row)

    async def get_stored_bytes(self, user_ids: Collection[UUID]) -> dict[UUID, int]:
        """Return the stored bytes of the accounts that store anything."""
        if not user_ids:
            return {}
        statement = select(Budget.user_id, Budget.stored_bytes).where(Budget.user_id.in_(user_ids))
        return {row.user_id: row.stored_bytes for row in await self._session.execute(statement)}

    async def add_stored_bytes(self, user_id: UUID, size: int, limit: int | None = None) -> bool:
        """Add `size` stored bytes (negative after a deletion). Call it last.

        Returns:
            False if the total would exceed `limit`; then nothing was counted.
        """
        arguments = {"user": user_id, "size": size, "most": limit}
        return await self._session.scalar(_ADD_STORED_BYTES, arguments) is not None
