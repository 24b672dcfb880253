"""Messages: questions and answers, each with a parent, so they form branches."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.ids import new_id
from gateway.models.base import Base


class Message(Base):
    """One message; `parent_id` is None for the first of a branch.

    `user_id` repeats the conversation's account, so that queries need no join. `receipt` says how an answer
    came about, `error` is `{type, code, message}` of a failed one. `summary` replaces the branch up to and
    including this message in prompts. `request` is what an API client sent beyond a question's text:
    `messages`, used in prompts in its place, and `parameters`. `events` counts the stream events that
    `content` represents; `cancel_asked_at` requests the cancellation of the running answer. `details` are the
    reasoning and the tool results shown with an answer. `stored_bytes` counts against the account's storage.
    The attribute `meta` is the column `metadata`, a name that SQLAlchemy reserves.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", name="role"),
        CheckConstraint(
            "status IN ('pending', 'streaming', 'complete', 'failed', 'cancelled', 'interrupted')",
            name="status",
        ),
        Index("ix_messages_conversation_id_created_at_id", "conversation_id", "created_at", "id"),
        # An answer is written twice, pending and final; free space in the page avoids index updates.
        {"postgresql_with": {"fillfactor": "80"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    user_id: Mapped[UUID]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"), index=True)
    role: Mapped[str]
    content: Mapped[str] = mapped_column(default="", server_default="")
    status: Mapped[str]
    model: Mapped[str | None]
    provider: Mapped[str | None]
    finish_reason: Mapped[str | None]
    prompt_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    completion_tokens: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    cost_usd: Mapped[Decimal] = mapped_column(default=Decimal(0), server_default=text("0"))
    receipt: Mapped[dict[str, Any] | None]
    tool_calls: Mapped[list[Any] | None]
    error: Mapped[dict[str, Any] | None]
    details: Mapped[dict[str, Any] | None]
    summary: Mapped[str | None]
    request: Mapped[dict[str, Any] | None]
    events: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    stored_bytes: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    cancel_asked_at: Mapped[datetime | None]
    meta: Mapped[dict[str, Any]] = mapped_column(
        "metadata", JSONB, default=dict, server_default=text("'{}'::jsonb")
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]

    def __repr__(self) -> str:
        return f"Message(id={self.id!s}, role={self.role!r}, status={self.status!r})"
