"""The unit of work: one transaction, its repositories, and a connection that goes back at its end."""

from __future__ import annotations

import asyncio
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from gateway.core.database import as_unavailable

if TYPE_CHECKING:
    from gateway.repositories.api_key import ApiKeyRepository
    from gateway.repositories.conversation import ConversationRepository
    from gateway.repositories.message import MessageRepository
    from gateway.repositories.refresh_token import RefreshTokenRepository
    from gateway.repositories.usage_record import UsageRepository
    from gateway.repositories.user import UserRepository


class UnitOfWork:
    """`async with UnitOfWork(session_factory) as uow:` commits on a clean exit, else rolls back.

    A connection is taken from the pool by the first statement and goes back at exit. Never wait for
    anything but the database inside.

    Raises:
        Unavailable: from the exit, where the database cannot be reached or the pool is exhausted.
    """

    session: AsyncSession

    def __init__(self, session_factory: async_sessionmaker[AsyncSession]) -> None:
        self._session_factory = session_factory

    async def __aenter__(self) -> Self:
        self.session = self._session_factory()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.session.commit()
        except Exception as failure:
            error = failure
            raise (as_unavailable(failure) or failure) from failure
        finally:
            # A task that is cancelled here must still hand its connection back.
            await asyncio.shield(self.session.close())
        if error is not None and (unavailable := as_unavailable(error)) is not None:
            raise unavailable from error

    @cached_property
    def users(self) -> UserRepository:
        from gateway.repositories.user import UserRepository

        return UserRepository(self.session)

    @cached_property
    def refresh_tokens(self) -> RefreshTokenRepository:
        from gateway.repositories.refresh_token import RefreshTokenRepository

        return RefreshTokenRepository(self.session)

    @cached_property
    def api_keys(self) -> ApiKeyRepository:
        from gateway.repositories.api_key import ApiKeyRepository

        return ApiKeyRepository(self.session)

    @cached_property
    def conversations(self) -> ConversationRepository:
        from gateway.repositories.conversation import ConversationRepository

        return ConversationRepository(self.session)

    @cached_property
    def messages(self) -> MessageRepository:
        from gateway.repositories.message import MessageRepository

        return MessageRepository(self.session)

    @cached_property
    def usage(self) -> UsageRepository:
        from gateway.repositories.usage_record import UsageRepository

        return UsageRepository(self.session)
