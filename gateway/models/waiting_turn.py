"""Turns that wait for another turn of their conversation."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.models.base import Base


class WaitingTurn(Base):
    """One waiting turn; lower tickets go first.

    The waiting request renews it until it ends.
    """

    __tablename__ = "waiting_turns"
    __table_args__ = (Index("ix_waiting_turns_conversation_id_ticket", "conversation_id", "ticket"),)

    ticket: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]

    def __repr__(self) -> str:
        return f"WaitingTurn(ticket={self.ticket})"
