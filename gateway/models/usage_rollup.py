"""The ledger added up: sums of half hours, who was there on a day, and what is still to be added anew.

Nothing here is a truth of its own: every row can be made again of `usage_records`.
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
    """One model, provider and kind in the half hour from `slot` on.

    `requests` are those that began here, `requests_of_model` and `requests_of_kind` those whose first call of
    this model or kind was here; `errors` are requests whose last call of a model failed here; `latencies`
    counts calls of models by `domain.usage.latency_histogram.BUCKET_EDGES`.
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
    """One of the slowest calls of models in a half hour: where its row is in the ledger."""

    __tablename__ = "usage_slowest"

    slot: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    latency_ms: Mapped[int]


class UsageDay(Base):
    """In which half hours of a day (UTC) an account used anything: bit 0 of `slots` is the first of 48."""

    __tablename__ = "usage_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    slots: Mapped[int] = mapped_column(BigInteger)


class UsageLate(Base):
    """A half hour whose sums lack a row that was written late; a trigger of the ledger notes it.

    Not one row a slot: who notes the same must not wait for another, nor rely on a note that is going.
    """

    __tablename__ = "usage_late"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    slot: Mapped[datetime]


class UsageRolled(Base):
    """Up to when the ledger has been added up: one row, or none before the first time."""

    __tablename__ = "usage_rolled"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    until: Mapped[datetime]
