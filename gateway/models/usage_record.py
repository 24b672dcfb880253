"""Usage records: one row per call of a model or tool, partitioned by month."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.ids import new_id
from gateway.models.base import Base


class UsageRecord(Base):
    """One call and its cost, never its content.

    `outcome` is `ok` or the code of the error that ended the call; `upstream_status` and `upstream_reason`
    are the provider's HTTP status and its redacted message. Rows outlive the account, the key and the message
    they refer to: totals must not change when an account is deleted. Months without a partition of their own
    go to the default one (`ensure_partitions` creates the next ones).
    """

    __tablename__ = "usage_records"
    __table_args__ = (
        CheckConstraint("kind IN ('chat', 'tool', 'embedding', 'image', 'guard')", name="kind"),
        Index("ix_usage_records_user_id_created_at", "user_id", "created_at"),
        Index("ix_usage_records_request_id", "request_id"),
        # Rows are stored in time order, so a small BRIN index finds a day within a month.
        Index(
            "ix_usage_records_created_at",
            "created_at",
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on", "pages_per_range": "32"},
        ),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    # The primary key of a partitioned table must contain the partition column.
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
    # The request a row belongs to, since clients may reuse a `request_id`. None in old rows.
    request_key: Mapped[int | None] = mapped_column(BigInteger)
    # Purpose of the gateway's own call, such as `title`; None for calls that produce the answer.
    step: Mapped[str | None]
    outcome: Mapped[str] = mapped_column(default="ok", server_default="ok")
    latency_ms: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    # The first two are part of the prompt tokens, the third of the completion tokens.
    cached_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    cache_write_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reasoning_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    upstream_status: Mapped[int | None] = mapped_column(SmallInteger)
    upstream_reason: Mapped[str | None]

    def __repr__(self) -> str:
        return f"UsageRecord(id={self.id!s}, kind={self.kind!r}, outcome={self.outcome!r})"
