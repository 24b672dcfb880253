"""Messages: questions and answers, each pointing at the one it follows, so that a conversation can branch."""

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

    `user_id` repeats the conversation's owner, so that every query can name the owner without a join.
    `receipt` tells how an answer came about, `error` is `{type, code, message}` of a failed one. `summary` is
    what a model reads in place of the branch up to and including this message. `request` is what a program
    asked beyond a question's text: `messages`, shown to a model in its place, and `parameters`. `events`
    counts the events of the stream that `content` stands for; `cancel_asked_at` tells the worker that writes
    the answer to stop. `details` are the thoughts and the results of tools that an answer was shown with.
    `stored_bytes` is what the message counts against the account's storage. The attribute `meta` is the
    column `metadata`, a name that SQLAlchemy keeps for itself.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", name="role"),
        CheckConstraint(
            "status IN ('pending', 'streaming', 'complete', 'failed', 'cancelled', 'interrupted')",
            name="status",
        ),
        Index("ix_messages_conversation_id_created_at_id", "conversation_id", "created_at", "id"),
        # An answer is written twice, pending and final; room in the page keeps that off the indexes.
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
