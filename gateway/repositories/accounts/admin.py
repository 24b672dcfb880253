"""Administrators' queries over all accounts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update

from gateway.domain.accounts.models import Account
from gateway.models.api_key import ApiKey
from gateway.models.user import User
from gateway.repositories.base import Repository

_ACCOUNT = (User.id, User.email, User.name, User.role, User.tier, User.status, User.created_at)


class AdminRepository(Repository):
    """Accounts of all users."""

    async def list_accounts(
        self,
        *,
        before: UUID | None,
        limit: int,
        search: str | None = None,
        role: str | None = None,
        tier: str | None = None,
        status: str | None = None,
    ) -> list[Account]:
        """Return at most `limit` accounts before the id `before`, newest first.

        `search` is part of the e-mail address or name, ignoring case.
        """
        statement = select(*_ACCOUNT)
        if search:
            piece = func.lower(search)
            statement = statement.where(
                or_(func.strpos(User.email, piece) > 0, func.strpos(func.lower(User.name), piece) > 0)
            )
        for column, value in ((User.role, role), (User.tier, tier), (User.status, status)):
            if value is not None:
                statement = statement.where(column == value)
        if before is not None:
            statement = statement.where(User.id < before)
        statement = statement.order_by(User.id.desc()).limit(limit)
        return [Account(*row) for row in await self._session.execute(statement)]

    async def get_emails(self, user_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the e-mail addresses of existing accounts by id."""
        if not user_ids:
            return {}
        statement = select(User.id, User.email).where(User.id.in_(user_ids))
        return {row.id: row.email for row in await self._session.execute(statement)}

    async def get_key_names(self, key_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of existing API keys by id, including revoked ones."""
        if not key_ids:
            return {}
        statement = select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_(key_ids))
        return {row.id: row.name for row in await self._session.execute(statement)}

    async def lock(self, user_id: UUID) -> Account | None:
        """Return the account, locked until the unit of work ends."""
        statement = select(*_ACCOUNT).where(User.id == user_id).with_for_update(key_share=True)
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else Account(*row)

    async def update(
        self, user_id: UUID, changes: Mapping[str, Any], *, revoke_access_tokens: bool
    ) -> Account:
        """Update columns of a locked account, and revoke its access tokens if requested."""
        values = dict(changes)
        if revoke_access_tokens:
            values["token_version"] = User.token_version + 1
        statement = update(User).where(User.id == user_id).values(**values).returning(*_ACCOUNT)
        return Account(*(await self._session.execute(statement)).one())
