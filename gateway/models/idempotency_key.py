"""Requests with an `Idempotency-Key`, and their recorded responses."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, LargeBinary, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column

from gateway.models.base import Base


class IdempotencyKey(Base):
    """One key of one account.

    `id` and `fingerprint` are keyed hashes, `answer` is encrypted with the key itself. While a request is
    being handled, `holder` identifies the attempt until `held_until`. `user_id` is NULL for requests that
    create an account.
    """

    __tablename__ = "idempotency_keys"

    id: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), index=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    holder: Mapped[UUID] = mapped_column(Uuid)
    request_id: Mapped[str]
    held_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)

    def __repr__(self) -> str:
        return f"IdempotencyKey(holder={self.holder!s})"
