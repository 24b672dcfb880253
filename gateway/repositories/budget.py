"""Reads what an account has used; `TurnRepository` is who writes it."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import case, literal, select, text

from gateway.domain.budget import BudgetState
from gateway.models.base import Money
from gateway.models.budget import Budget
from gateway.repositories.base import Repository

_TODAY = text("(now() AT TIME ZONE 'UTC')::date")
_THIS_MONTH = text("date_trunc('month', now() AT TIME ZONE 'UTC')::date")


class BudgetRepository(Repository):
    """An account's budget, as of today and of this month."""

    async def get(self, user_id: UUID) -> BudgetState:
        """Zeroes where the account has used nothing yet."""
        statement = select(
            case((Budget.day >= _TODAY, Budget.tokens_used), else_=0),
            Budget.tokens_reserved,
            case((Budget.month >= _THIS_MONTH, Budget.usd_used), else_=literal(Decimal(0), Money)),
            Budget.usd_reserved,
        ).where(Budget.user_id == user_id)
        row = (await self._session.execute(statement)).one_or_none()
        return BudgetState() if row is None else BudgetState(*row)
