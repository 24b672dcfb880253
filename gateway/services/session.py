"""Where an account is signed in, and how its owner ends that."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog

from gateway.core.exceptions import NotFound
from gateway.domain.account import Session
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.endings import Endings

log = structlog.get_logger(__name__)


class SessionService:
    """The sessions of one account, as `AuthService` begins and renews them."""

    def __init__(self, uow: Callable[[], UnitOfWork], endings: Endings) -> None:
        self._uow = uow
        self._endings = endings

    async def list(self, user_id: UUID) -> list[Session]:
        """The sessions that live, the last used first."""
        async with self._uow() as uow:
            return await uow.refresh_tokens.sessions_of(user_id)

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        """Ends one session and its access tokens. Raises NotFound where the account has no such session."""
        async with self._uow() as uow:
            await uow.users.lock(user_id)
            if not await uow.refresh_tokens.revoke_family(user_id, session_id):
                raise NotFound
            await uow.audit.add(
                "sessions.ended", actor_id=user_id, target_type="session", target_id=session_id
            )
        await self._endings.sessions(user_id, [session_id])
        log.info("session_ended", user_id=str(user_id), session_id=str(session_id))

    async def end_all(self, user_id: UUID) -> None:
        """Logs the account out everywhere; every access token made so far is void."""
        async with self._uow() as uow:
            await uow.users.lock(user_id)
            await uow.users.raise_token_version(user_id)
            ended = await uow.refresh_tokens.revoke_all(user_id)
            await uow.audit.add("sessions.ended", actor_id=user_id, target_type="user", target_id=user_id)
        await self._endings.everywhere(user_id, ended)
        log.info("sessions_ended", user_id=str(user_id), count=len(ended))
