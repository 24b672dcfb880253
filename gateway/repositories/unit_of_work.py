"""Unit of work: one transaction, its repositories and its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from gateway.core.database import as_unavailable
from gateway.repositories.accounts.account_data import AccountDataRepository
from gateway.repositories.accounts.admin import AdminRepository
from gateway.repositories.accounts.api_keys import ApiKeyRepository
from gateway.repositories.accounts.audit import AuditRepository
from gateway.repositories.accounts.password_resets import PasswordResetRepository
from gateway.repositories.accounts.refresh_tokens import RefreshTokenRepository
from gateway.repositories.accounts.users import UserRepository
from gateway.repositories.conversations.conversations import ConversationRepository
from gateway.repositories.conversations.messages import MessageRepository
from gateway.repositories.conversations.stored_responses import StoredResponseRepository
from gateway.repositories.images import ImageRepository
from gateway.repositories.usage.budgets import BudgetRepository
from gateway.repositories.usage.records import UsageRepository
from gateway.repositories.usage.rollup import UsageRollupRepository
from gateway.repositories.usage.stats import UsageStatsRepository


class UnitOfWork:
    """Commits when its `async with` block succeeds, otherwise rolls back.

    The first statement acquires a connection, and leaving the block releases it. Await nothing but the
    database inside. Use an object once.

    Raises:
        Unavailable: from the exit, if the database is unreachable or the pool is exhausted.
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
            if (unavailable := as_unavailable(failure)) is not None:
                raise unavailable from failure
            raise
        finally:
            await self._close()
        if error is not None and (unavailable := as_unavailable(error)) is not None:
            raise unavailable from error

    async def _close(self) -> None:
        # Rolls back uncommitted changes. Shielded, so that the connection is released even if the caller is
        # cancelled here.
        if self.session.in_transaction():
            await asyncio.shield(asyncio.create_task(self.session.close()))
        else:
            await self.session.close()

    @cached_property
    def users(self) -> UserRepository:
        return UserRepository(self.session)

    @cached_property
    def refresh_tokens(self) -> RefreshTokenRepository:
        return RefreshTokenRepository(self.session)

    @cached_property
    def password_resets(self) -> PasswordResetRepository:
        return PasswordResetRepository(self.session)

    @cached_property
    def api_keys(self) -> ApiKeyRepository:
        return ApiKeyRepository(self.session)

    @cached_property
    def conversations(self) -> ConversationRepository:
        return ConversationRepository(self.session)

    @cached_property
    def images(self) -> ImageRepository:
        return ImageRepository(self.session)

    @cached_property
    def stored_responses(self) -> StoredResponseRepository:
        return StoredResponseRepository(self.session)

    @cached_property
    def messages(self) -> MessageRepository:
        return MessageRepository(self.session)

    @cached_property
    def budgets(self) -> BudgetRepository:
        return BudgetRepository(self.session)

    @cached_property
    def usage(self) -> UsageRepository:
        return UsageRepository(self.session)

    @cached_property
    def usage_rollup(self) -> UsageRollupRepository:
        return UsageRollupRepository(self.session)

    @cached_property
    def usage_stats(self) -> UsageStatsRepository:
        return UsageStatsRepository(self.session)

    @cached_property
    def audit(self) -> AuditRepository:
        return AuditRepository(self.session)

    @cached_property
    def admin(self) -> AdminRepository:
        return AdminRepository(self.session)

    @cached_property
    def account_data(self) -> AccountDataRepository:
        return AccountDataRepository(self.session)


# Services open a unit of work per operation.
UnitOfWorkFactory = Callable[[], UnitOfWork]
