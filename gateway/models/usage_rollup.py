"""Rolled-up usage: half-hour totals, active accounts, slots to recompute.

All rows are derived and can be recomputed from `usage_records`.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Identity, Integer, SmallInteger, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from gateway.models.base import Base


class UsageSlot(Base):
    """Totals of one model, provider and kind in the half hour from `slot`.

    `requests` started here; `requests_of_model` and `requests_of_kind` made their first call of this model or
    kind here; `errors` made their last model call here and failed; `latencies` counts model calls per bucket
    (`domain.usage.latency_histogram`).
    """

    __tablename__ = "usage_slots"

    slot: Mapped[datetime] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int]
    failed: Mapped[int]
    cached: Mapped[int]
    requests: Mapped[int]
    requests_of_model: Mapped[int]
    requests_of_kind: Mapped[int]
    errors: Mapped[int]
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal]
    latencies: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    cached_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class UsageSlowest(Base):
    """One of the slowest model calls of a half hour: a reference to its usage record."""

    __tablename__ = "usage_slowest"

    slot: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    latency_ms: Mapped[int]


class UsageDay(Base):
    """Half hours of a day (UTC) in which an account was active, as a bit mask."""

    __tablename__ = "usage_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    slots: Mapped[int] = mapped_column(BigInteger)


class UsageLate(Base):
    """A half hour that got a usage record after it was rolled up.

    Inserted by a trigger.

    Not one row per slot: concurrent inserts must not wait for each other, nor rely on a row that is being
    deleted.
    """

    __tablename__ = "usage_late"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    slot: Mapped[datetime]


class UsageRolled(Base):
    """Time up to which usage is rolled up: one row, or none before the first rollup."""

    __tablename__ = "usage_rolled"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    until: Mapped[datetime]
