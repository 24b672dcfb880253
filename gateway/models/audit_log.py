"""Audit log: who did what to whom, in the same transaction as the action."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.ids import new_id
from gateway.models.base import Base


class AuditEntry(Base):
    """One action.

    `details` contains roles, tiers and the like, never an address, a name or a secret. `actor_id` is NULL for
    the operator's command line and for deleted accounts; the actions of a deleted account, and those on it,
    keep a random id that identifies nothing.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        # Ids grow with time; all three indexes are read backwards, newest first.
        Index("ix_audit_log_actor_id_id", "actor_id", "id"),
        Index("ix_audit_log_action_id", "action", "id"),
        Index("ix_audit_log_target_id_id", "target_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    action: Mapped[str]
    target_type: Mapped[str]
    target_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict, server_default=text("'{}'::jsonb"))
    ip: Mapped[str | None]
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    def __repr__(self) -> str:
        return f"AuditEntry(id={self.id!s}, action={self.action!r})"
