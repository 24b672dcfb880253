"""Queries of refresh tokens and of the sessions they make up."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update

from gateway.core.ids import new_id
from gateway.domain.account import Device, RefreshState
from gateway.models.refresh_token import RefreshToken
from gateway.repositories.base import Repository


class RefreshTokenRepository(Repository):
    """Refresh tokens by their hash; whoever writes holds the account's lock (`UserRepository.lock`)."""

    async def find(self, token_hash: bytes) -> RefreshState | None:
        """The token, by the database's clock."""
        statement = select(
            RefreshToken.id,
            RefreshToken.user_id,
            RefreshToken.family_id,
            RefreshToken.expires_at <= func.now(),
            RefreshToken.used_at.is_not(None),
            RefreshToken.revoked_at.is_not(None),
        ).where(RefreshToken.token_hash == token_hash)
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else RefreshState(*row)

    async def add(
        self, *, user_id: UUID, token_hash: bytes, ttl_seconds: int, device: Device, family_id: UUID | None
    ) -> tuple[UUID, UUID]:
        """A new token of `family_id`, or the first of a new family; returns its id and its family's."""
        token_id = new_id()
        family_id = family_id or token_id
        await self._session.execute(
            insert(RefreshToken).values(
                id=token_id,
                user_id=user_id,
                family_id=family_id,
                token_hash=token_hash,
                expires_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, ttl_seconds),
                user_agent=device.user_agent,
                ip=device.ip,
            )
        )
        return token_id, family_id

    async def spend(self, token_id: UUID, *, replaced_by: UUID) -> None:
        await self._session.execute(
            update(RefreshToken)
            .where(RefreshToken.id == token_id)
            .values(used_at=func.now(), replaced_by=replaced_by)
        )

    async def revoke_family(self, user_id: UUID, family_id: UUID) -> None:
        await self._revoke(RefreshToken.user_id == user_id, RefreshToken.family_id == family_id)

    async def revoke_others(self, user_id: UUID, keep: UUID | None) -> list[UUID]:
        """Ends all sessions of the account but `keep`; returns those that were ended."""
        others: list[ColumnElement[bool]] = [] if keep is None else [RefreshToken.family_id != keep]
        return await self._revoke(RefreshToken.user_id == user_id, *others)

    async def delete_expired(self, user_id: UUID) -> None:
        """Forgets tokens that expired a day ago; until then their reuse is told from a stranger's noise."""
        await self._session.execute(
            delete(RefreshToken).where(
                RefreshToken.user_id == user_id,
                RefreshToken.expires_at < func.now() - text("interval '1 day'"),
            )
        )

    async def living_among(self, session_ids: Collection[UUID]) -> set[UUID]:
        """Those of `session_ids` that have not been ended."""
        statement = (
            select(RefreshToken.family_id)
            .where(RefreshToken.family_id.in_(session_ids), RefreshToken.revoked_at.is_(None))
            .distinct()
        )
        return set((await self._session.scalars(statement)).all())

    async def _revoke(self, *which: ColumnElement[bool]) -> list[UUID]:
        statement = (
            update(RefreshToken)
            .where(RefreshToken.revoked_at.is_(None), *which)
            .values(revoked_at=func.now())
            .returning(RefreshToken.family_id)
        )
        return list(set((await self._session.scalars(statement)).all()))
