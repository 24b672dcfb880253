"""Usage: one row for each call of a model or tool, a partition for each month."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.ids import new_id
from gateway.models.base import Base


class UsageRecord(Base):
    """One call and its cost; never what was said.

    `outcome` is `ok` or the code of the error that ended the call; `upstream_status` and `upstream_reason`
    are the provider's HTTP status and its redacted words. Rows outlive the account, the key and
    the message they speak of: sums must not change when someone leaves. Months without a partition of
    their own go to the default one (`ensure_partitions` makes the coming ones).
    """

    __tablename__ = "usage_records"
    __table_args__ = (
        CheckConstraint("kind IN ('chat', 'tool', 'embedding', 'image', 'guard')", name="kind"),
        Index("ix_usage_records_user_id_created_at", "user_id", "created_at"),
        Index("ix_usage_records_request_id", "request_id"),
        # Rows lie in the order of their time, so a few bytes for each range of pages find a day in a month.
        Index(
            "ix_usage_records_created_at",
            "created_at",
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on", "pages_per_range": "32"},
        ),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    # A partitioned table's key has to hold the column it is split by.
    created_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    api_key_id: Mapped[UUID | None]
    kind: Mapped[str]
    model: Mapped[str]
    provider: Mapped[str]
    request_id: Mapped[str]
    message_id: Mapped[UUID | None]
    prompt_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    completion_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    cost_usd: Mapped[Decimal] = mapped_column(default=Decimal(0), server_default=text("0"))
    # Which request a row belongs to: clients may send the same `request_id` several times. None in old rows.
    request_key: Mapped[int | None] = mapped_column(BigInteger)
    # What a call of the gateway's own was made for, such as `title`; None for the answer itself.
    step: Mapped[str | None]
    outcome: Mapped[str] = mapped_column(default="ok", server_default="ok")
    latency_ms: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    # The first two are parts of the prompt, the third is a part of the completion.
    cached_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    cache_write_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reasoning_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    upstream_status: Mapped[int | None] = mapped_column(SmallInteger)
    upstream_reason: Mapped[str | None]

    def __repr__(self) -> str:
        return f"UsageRecord(id={self.id!s}, kind={self.kind!r}, outcome={self.outcome!r})"
