"""Queries of the audit log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, insert, or_, select, update

from gateway.core.database import clean_text
from gateway.core.ids import new_id
from gateway.core.request_context import current_request
from gateway.domain.accounts.audit import Action, AuditRecord, TargetType
from gateway.domain.usage.reports import ALL_TIME, TimeSpan
from gateway.models.audit_log import AuditEntry
from gateway.repositories.base import Repository

_OWNED_TARGETS: tuple[TargetType, ...] = ("api_key", "session")
_COLUMNS = (
    AuditEntry.id,
    AuditEntry.actor_id,
    AuditEntry.action,
    AuditEntry.target_type,
    AuditEntry.target_id,
    AuditEntry.details,
    AuditEntry.ip,
    AuditEntry.request_id,
    AuditEntry.created_at,
)


class AuditRepository(Repository):
    """Audit records, inserted in the same unit of work as the action they describe."""

    async def add(
        self,
        action: Action,
        *,
        actor_id: UUID | None,
        target_type: TargetType,
        target_id: UUID | None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Insert a record with the id and client address of the current request."""
        context = current_request()
        ip = context.client_ip if context else None
        await self._session.execute(
            insert(AuditEntry).values(
                id=new_id(),
                actor_id=actor_id,
                action=action,
                target_type=target_type,
                target_id=target_id,
                details=details or {},
                ip=clean_text(ip)[:64] if ip else None,
                request_id=context.request_id if context else None,
            )
        )

    async def list_recent(
        self,
        *,
        before: UUID | None,
        limit: int,
        actor_id: UUID | None = None,
        target_id: UUID | None = None,
        action: str | None = None,
        during: TimeSpan = ALL_TIME,
    ) -> list[AuditRecord]:
        """Return at most `limit` records before the id `before`, newest first."""
        statement = select(*_COLUMNS)
        if before is not None:
            statement = statement.where(AuditEntry.id < before)
        if actor_id is not None:
            statement = statement.where(AuditEntry.actor_id == actor_id)
        if target_id is not None:
            statement = statement.where(AuditEntry.target_id == target_id)
        if action is not None:
            statement = statement.where(AuditEntry.action == action)
        if during.start is not None:
            statement = statement.where(AuditEntry.created_at >= during.start)
        if during.end is not None:
            statement = statement.where(AuditEntry.created_at < during.end)
        statement = statement.order_by(AuditEntry.id.desc()).limit(limit)
        return [AuditRecord(*row) for row in await self._session.execute(statement)]

    async def list_for_account(self, user_id: UUID, *, before: UUID | None, limit: int) -> list[AuditRecord]:
        """Return records by and about the account, newest first."""
        statement = select(*_COLUMNS).where(
            or_(AuditEntry.actor_id == user_id, AuditEntry.target_id == user_id)
        )
        if before is not None:
            statement = statement.where(AuditEntry.id < before)
        statement = statement.order_by(AuditEntry.id.desc()).limit(limit)
        return [AuditRecord(*row) for row in await self._session.execute(statement)]

    async def anonymize_account(self, user_id: UUID, *, tombstone: UUID) -> None:
        """Remove the identity of a deleted account from its records."""
        entry = AuditEntry
        by_account = entry.actor_id == user_id
        await self._session.execute(
            update(entry)
            .where(or_(by_account, entry.target_id == user_id))
            .values(
                actor_id=case((by_account, None), else_=entry.actor_id),
                # Includes the ids of its keys and sessions, which are deleted with it.
                target_id=case(
                    (
                        or_(
                            entry.target_id == user_id,
                            and_(by_account, entry.target_type.in_(_OWNED_TARGETS)),
                        ),
                        tombstone,
                    ),
                    else_=entry.target_id,
                ),
                # In actions of others on the account, address and request belong to the others.
                ip=case((by_account, None), else_=entry.ip),
                request_id=case((by_account, None), else_=entry.request_id),
            )
        )
