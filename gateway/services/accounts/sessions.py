"""Lists and revokes the sessions of an account."""

from __future__ import annotations

from uuid import UUID

import structlog

from gateway.core.exceptions import NotFound
from gateway.domain.accounts.models import Session
from gateway.repositories.unit_of_work import UnitOfWorkFactory
from gateway.services.accounts.revocation import RevocationService

log = structlog.get_logger(__name__)


class SessionService:
    """The sessions of one account, which `AuthService` starts and renews."""

    def __init__(self, uow: UnitOfWorkFactory, revocation: RevocationService) -> None:
        self._uow = uow
        self._revocation = revocation

    async def list(self, user_id: UUID) -> list[Session]:
        """List the active sessions, most recently used first."""
        async with self._uow() as uow:
            return await uow.refresh_tokens.list_sessions(user_id)

    async def revoke(self, user_id: UUID, session_id: UUID) -> None:
        """Revoke one session and its access tokens.

        Raises NotFound if the account has no such session.
        """
        async with self._uow() as uow:
            await uow.users.lock(user_id)
            if not await uow.refresh_tokens.revoke_family(user_id, session_id):
                raise NotFound
            await uow.audit.add(
                "sessions.ended", actor_id=user_id, target_type="session", target_id=session_id
            )
        await self._revocation.revoke_sessions(user_id, [session_id])
        log.info("session.ended", user_id=str(user_id), session_id=str(session_id))

    async def revoke_all(self, user_id: UUID) -> None:
        """Revoke all sessions and every access token issued so far."""
        async with self._uow() as uow:
            await uow.users.lock(user_id)
            await uow.users.revoke_access_tokens(user_id)
            revoked_sessions = await uow.refresh_tokens.revoke_all(user_id)
            await uow.audit.add("sessions.ended", actor_id=user_id, target_type="user", target_id=user_id)
        await self._revocation.revoke_all_sessions(user_id, revoked_sessions)
        log.info("session.all_ended", user_id=str(user_id), count=len(revoked_sessions))
