"""Queries of API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from gateway.domain.accounts.models import AccountState, ApiKeyGrant, ApiKeyInfo
from gateway.models.api_key import ApiKey
from gateway.models.user import User
from gateway.repositories.base import Repository

_INFO = (
    ApiKey.id,
    ApiKey.name,
    ApiKey.prefix,
    ApiKey.scopes,
    ApiKey.models,
    ApiKey.requests_per_minute,
    ApiKey.expires_at,
    ApiKey.last_used_at,
    ApiKey.created_at,
)
_GRANT = (
    ApiKey.id,
    ApiKey.user_id,
    ApiKey.scopes,
    ApiKey.models,
    ApiKey.requests_per_minute,
    ApiKey.expires_at,
)


class ApiKeyRepository(Repository):
    """API keys, by owner or by hash."""

    # One keyword for each column that the caller sets.
    async def add(
        self,
        *,
        user_id: UUID,
        name: str,
        prefix: str,
        key_hash: bytes,
        scopes: Sequence[str],
        models: Sequence[str] | None,
        requests_per_minute: int | None,
        expires_at: datetime | None,
    ) -> ApiKeyInfo:
        statement = (
            insert(ApiKey)
            .values(
                user_id=user_id,
                name=name,
                prefix=prefix,
                key_hash=key_hash,
                scopes=list(scopes),
                models=None if models is None else list(models),
                requests_per_minute=requests_per_minute,
                expires_at=expires_at,
            )
            .returning(*_INFO)
        )
        return _info((await self._session.execute(statement)).one())

    async def list_for(self, user_id: UUID) -> list[ApiKeyInfo]:
        """Return the account's keys that are not revoked, newest first."""
        statement = (
            select(*_INFO)
            .where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
            .order_by(ApiKey.id.desc())
        )
        return [_info(row) for row in await self._session.execute(statement)]

    async def get_grant(self, key_hash: bytes) -> tuple[ApiKeyGrant, AccountState] | None:
        """Return the key's grant and its owner's state; None if it is unknown or revoked."""
        statement = (
            select(*_GRANT, User.role, User.tier, User.status, User.token_version)
            .join(User, User.id == ApiKey.user_id)
            .where(ApiKey.key_hash == key_hash, ApiKey.revoked_at.is_(None))
        )
        row = (await self._session.execute(statement)).one_or_none()
        if row is None:
            return None
        key_id, user_id, scopes, models, limit, expires_at, *state = row
        grant = ApiKeyGrant(
            key_id=key_id,
            user_id=user_id,
            scopes=frozenset(scopes),
            models=None if models is None else frozenset(models),
            requests_per_minute=limit,
            expires_at=None if expires_at is None else expires_at.timestamp(),
        )
        return grant, AccountState(*state)

    async def revoke(self, user_id: UUID, key_id: UUID) -> bytes | None:
        """Revoke the key and return its hash; None if the account has no such active key."""
        statement = (
            update(ApiKey)
            .where(ApiKey.id == key_id, ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(ApiKey.key_hash)
        )
        return await self._session.scalar(statement)

    async def delete_by_hash(self, user_id: UUID, hashes: Sequence[bytes]) -> list[bytes]:
        """Delete the account's keys with these hashes; returns the hashes that existed."""
        statement = (
            delete(ApiKey)
            .where(ApiKey.user_id == user_id, ApiKey.key_hash.in_(hashes))
            .returning(ApiKey.key_hash)
        )
        return list(await self._session.scalars(statement))

    async def revoke_by_name(self, user_id: UUID, name: str) -> list[bytes]:
        """Revoke the account's keys of this name; returns their hashes."""
        statement = (
            update(ApiKey)
            .where(ApiKey.user_id == user_id, ApiKey.name == name, ApiKey.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(ApiKey.key_hash)
        )
        return list(await self._session.scalars(statement))

    async def sync(
        self,
        user_id: UUID,
        *,
        name: str,
        prefixes: Mapping[bytes, str],
        scopes: Sequence[str],
        requests_per_minute: int | None,
    ) -> list[bytes]:
        """Make these hashes the account's only keys of this name.

        Returns the hashes revoked.

        A hash that belongs to another account's key is left unchanged.
        """
        statement = (
            update(ApiKey)
            .where(
                ApiKey.user_id == user_id,
                ApiKey.name == name,
                ApiKey.revoked_at.is_(None),
                ApiKey.key_hash.not_in(list(prefixes)),
            )
            .values(revoked_at=func.now())
            .returning(ApiKey.key_hash)
        )
        revoked = list(await self._session.scalars(statement))
        for key_hash, prefix in prefixes.items():
            await self._session.execute(
                insert_or_update(ApiKey)
                .values(
                    user_id=user_id,
                    name=name,
                    prefix=prefix,
                    key_hash=key_hash,
                    scopes=list(scopes),
                    requests_per_minute=requests_per_minute,
                )
                .on_conflict_do_update(
                    index_elements=[ApiKey.key_hash],
                    set_={"revoked_at": None, "requests_per_minute": requests_per_minute},
                    where=(ApiKey.user_id == user_id) & (ApiKey.name == name),
                )
            )
        return revoked

    async def mark_used(self, key_id: UUID) -> None:
        """Update the time of the last use, at most once a minute for all processes."""
        await self._session.execute(
            update(ApiKey)
            .where(
                ApiKey.id == key_id,
                or_(
                    ApiKey.last_used_at.is_(None),
                    ApiKey.last_used_at < func.now() - text("interval '1 minute'"),
                ),
            )
            .values(last_used_at=func.now())
        )


def _info(row: Row[*tuple[Any, ...]]) -> ApiKeyInfo:
    key_id, name, prefix, scopes, models, limit, expires_at, last_used_at, created_at = row
    return ApiKeyInfo(
        id=key_id,
        name=name,
        prefix=prefix,
        scopes=tuple(scopes),
        models=None if models is None else tuple(models),
        requests_per_minute=limit,
        expires_at=expires_at,
        last_used_at=last_used_at,
        created_at=created_at,
    )
