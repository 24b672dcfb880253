"""Generated images; their bytes are files named by their digest."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.ids import new_id
from gateway.models.base import Base


class Image(Base):
    """One image of one account.

    Several may share one `digest` (SHA-256 in hex), and so one file.
    """

    __tablename__ = "images"
    __table_args__ = (Index("ix_images_user_id_created_at_id", "user_id", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(index=True)
    content_type: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    size: Mapped[int]
    prompt: Mapped[str]
    model: Mapped[str]
    provider: Mapped[str]
    seed: Mapped[int | None] = mapped_column(BigInteger)
    request_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    def __repr__(self) -> str:
        return f"Image(id={self.id!s})"
