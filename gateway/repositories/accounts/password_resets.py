"""Queries of password resets."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, insert, select

from gateway.models.password_reset import PasswordReset
from gateway.models.user import User
from gateway.repositories.base import Repository


class PasswordResetRepository(Repository):
    """Reset tokens by hash.

    Writers must hold the account's lock (`UserRepository.lock`).
    """

    async def add(self, user_id: UUID, token_hash: bytes, ttl_seconds: int) -> None:
        """Insert a new token and delete the account's expired ones."""
        await self._session.execute(
            delete(PasswordReset).where(
                PasswordReset.user_id == user_id, PasswordReset.expires_at <= func.now()
            )
        )
        await self._session.execute(
            insert(PasswordReset).values(
                user_id=user_id,
                token_hash=token_hash,
                expires_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, ttl_seconds),
            )
        )

    async def get_account(self, token_hash: bytes) -> tuple[UUID, str] | None:
        """Return (id, e-mail address) of the account that the token may reset.

        None if invalid.
        """
        statement = (
            select(User.id, User.email)
            .join(PasswordReset, PasswordReset.user_id == User.id)
            .where(PasswordReset.token_hash == token_hash, PasswordReset.expires_at > func.now())
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def consume(self, user_id: UUID, token_hash: bytes) -> bool:
        """Delete the token and all others of the account; False if it was just used."""
        statement = (
            delete(PasswordReset)
            .where(
                PasswordReset.user_id == user_id,
                PasswordReset.token_hash == token_hash,
                PasswordReset.expires_at > func.now(),
            )
            .returning(PasswordReset.id)
        )
        if await self._session.scalar(statement) is None:
            return False
        await self.delete_for(user_id)
        return True

    async def delete_for(self, user_id: UUID) -> None:
        """Delete every token of the account."""
        await self._session.execute(delete(PasswordReset).where(PasswordReset.user_id == user_id))
