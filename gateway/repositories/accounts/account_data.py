"""Everything stored about one account besides conversations and usage."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, column, func, select, table

from gateway.models.api_key import ApiKey
from gateway.models.budget import Budget
from gateway.models.idempotency_key import IdempotencyKey
from gateway.models.password_reset import PasswordReset
from gateway.models.refresh_token import RefreshToken
from gateway.models.response_embedding import TABLE
from gateway.models.user import User
from gateway.repositories.base import Repository


class AccountDataRepository(Repository):
    """Rows as dictionaries of their columns, for the account's export."""

    async def get_account(self, user_id: UUID) -> dict[str, Any] | None:
        rows = await self._rows(
            User.id == user_id,
            *(User.id, User.email, User.name, User.role, User.tier, User.status),
            *(User.created_at, User.updated_at),
        )
        return rows[0] if rows else None

    async def list_sessions(self, user_id: UUID) -> list[dict[str, Any]]:
        """Return one row per refresh token, without the token."""
        return await self._rows(
            RefreshToken.user_id == user_id,
            RefreshToken.family_id.label("session_id"),
            *(RefreshToken.user_agent, RefreshToken.ip, RefreshToken.started_at, RefreshToken.last_used_at),
            *(RefreshToken.created_at, RefreshToken.expires_at, RefreshToken.used_at),
            RefreshToken.revoked_at,
        )

    async def list_api_keys(self, user_id: UUID) -> list[dict[str, Any]]:
        """Return all keys, including revoked ones."""
        return await self._rows(
            ApiKey.user_id == user_id,
            *(ApiKey.id, ApiKey.name, ApiKey.prefix, ApiKey.scopes, ApiKey.models),
            *(ApiKey.requests_per_minute, ApiKey.expires_at, ApiKey.last_used_at, ApiKey.revoked_at),
            ApiKey.created_at,
        )

    async def list_password_resets(self, user_id: UUID) -> list[dict[str, Any]]:
        """Return when password resets were requested."""
        condition = PasswordReset.user_id == user_id
        return await self._rows(condition, PasswordReset.created_at, PasswordReset.expires_at)

    async def list_idempotency_keys(self, user_id: UUID) -> list[dict[str, Any]]:
        """Return when requests with idempotency keys arrived.

        Their responses are encrypted.
        """
        return await self._rows(
            IdempotencyKey.user_id == user_id,
            *(IdempotencyKey.created_at, IdempotencyKey.request_id, IdempotencyKey.expires_at),
        )

    async def list_budgets(self, user_id: UUID) -> list[dict[str, Any]]:
        return await self._rows(
            Budget.user_id == user_id,
            *(Budget.day, Budget.tokens_used, Budget.tokens_reserved),
            *(Budget.month, Budget.usd_used, Budget.usd_reserved, Budget.stored_bytes),
        )

    async def list_cached_questions(self, user_id: UUID) -> list[dict[str, Any]]:
        """Return the questions whose answers are in the semantic cache."""
        if not await self._session.scalar(select(func.to_regclass(TABLE))):
            return []
        entries = table(TABLE, *map(column, ("user_id", "question", "created_at", "expires_at")))
        condition = entries.c.user_id == user_id
        return await self._rows(condition, entries.c.created_at, entries.c.question, entries.c.expires_at)

    async def list_cache_keys(self, user_id: UUID) -> tuple[list[bytes], list[UUID]]:
        """Return what identifies the account in caches: hashes of keys, ids of sessions."""
        keys = await self._session.scalars(select(ApiKey.key_hash).where(ApiKey.user_id == user_id))
        sessions = await self._session.scalars(
            select(RefreshToken.family_id).where(RefreshToken.user_id == user_id).distinct()
        )
        return list(keys), list(sessions)

    async def _rows(self, condition: ColumnElement[bool], *columns: Any) -> list[dict[str, Any]]:
        found = await self._session.execute(select(*columns).where(condition).order_by(columns[0]))
        return [dict(row) for row in found.mappings()]
