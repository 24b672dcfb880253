"""Conversations: a tree of messages of one account, and the turn that is being answered in it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.ids import new_id
from gateway.models.base import Base


class Conversation(Base):
    """One conversation.

    `head_id` is the last message of the branch being read. `running_message_id` is the answer being
    written, until `running_until`: a lease, so that a turn whose process died frees the conversation.
    `lock_token` grows with each turn, so that a writer who lost the lease can be told from its successor.
    `waiting_until` is when the last place among those that wait for it (`waiting_turns`) runs out.
    `titled_by` says whose words the title is: cut from the `question`, a model's, or the `owner`'s; `asked`
    while a model is being asked for one, and for good where it had none to give.

    Neither of the two message ids is a foreign key: both are set in the statement that inserts the message,
    and a cycle of keys would be checked on every turn for nothing.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        CheckConstraint("titled_by IN ('question', 'asked', 'model', 'owner')", name="titled_by"),
        # Read backwards for "newest first".
        Index("ix_conversations_user_id_updated_at_id", "user_id", "updated_at", "id"),
        # Finds the turns whose process died.
        Index(
            "ix_conversations_running_until",
            "running_until",
            postgresql_where=text("running_message_id IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(default="", server_default="")
    titled_by: Mapped[str] = mapped_column(default="question", server_default="question")
    model: Mapped[str | None]
    system: Mapped[str | None]
    head_id: Mapped[UUID | None]
    lock_token: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    running_message_id: Mapped[UUID | None]
    running_until: Mapped[datetime | None]
    waiting_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    def __repr__(self) -> str:
        return f"Conversation(id={self.id!s})"
