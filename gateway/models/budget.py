"""Budgets: an account's used and reserved tokens of a day and money of a month."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, ForeignKey, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gateway.models.base import Base

_ZERO = text("0")


class Budget(Base):
    """One row per account, created by its first reservation.

    `tokens_used` counts for `day`, `usd_used` for the month that starts with `month` (both UTC): on a later
    day they are read as 0, and the next reservation or settlement resets them. `*_reserved` is the sum of the
    account's `reservations`, whenever they were made: a turn is charged to the day on which it ends.
    `stored_bytes` is the sum of its messages' `stored_bytes`, its system prompts and its images.
    """

    __tablename__ = "budgets"
    # Updated twice per turn: free space in the page allows updates that do not touch the index.
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(Date)
    tokens_used: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    tokens_reserved: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)
    month: Mapped[date] = mapped_column(Date)
    usd_used: Mapped[Decimal] = mapped_column(server_default=_ZERO)
    usd_reserved: Mapped[Decimal] = mapped_column(server_default=_ZERO)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, server_default=_ZERO)

    def __repr__(self) -> str:
        return f"Budget(user_id={self.user_id!s})"


class Reservation(Base):
    """What one running call may still cost, until it is settled: a lease.

    Releasing the reservation deletes the row, so it happens exactly once: at the end of the turn,
    or by the maintenance job after `expires_at`, when the process that renewed it has died.
    """

    # No index on the expiry: there are only as many rows as running calls, and each is renewed in place.
    __tablename__ = "reservations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # References the budget instead of the account: reserving already locks the budget's row and need not wait
    # for the account's.
    user_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.user_id", ondelete="CASCADE"), index=True)
    tokens: Mapped[int] = mapped_column(BigInteger)
    usd: Mapped[Decimal]
    expires_at: Mapped[datetime]
    # Charged if the process dies: the request and its calls, with an estimate for the running one.
    bill: Mapped[dict[str, Any] | None] = mapped_column(JSONB)

    def __repr__(self) -> str:
        return f"Reservation(id={self.id!s}, tokens={self.tokens})"
