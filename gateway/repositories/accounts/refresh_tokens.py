"""Queries of refresh tokens and of the sessions that they form."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, select, text, update
from sqlalchemy.orm import aliased

from gateway.core.ids import new_id
from gateway.domain.accounts.models import ClientDevice, RefreshTokenState, Session
from gateway.models.refresh_token import RefreshToken
from gateway.repositories.base import Repository


class RefreshTokenRepository(Repository):
    """Refresh tokens by hash.

    Writers must hold the account's lock (`UserRepository.lock`).
    """

    async def find(self, token_hash: bytes, *, grace_seconds: float = 0) -> RefreshTokenState | None:
        """Return the token, and its successor if it was used within `grace_seconds`."""
        successor = aliased(RefreshToken)
        statement = (
            select(
                RefreshToken.id,
                RefreshToken.user_id,
                RefreshToken.family_id,
                RefreshToken.started_at,
                RefreshToken.expires_at <= func.now(),
                RefreshToken.used_at.is_not(None),
                RefreshToken.revoked_at.is_not(None),
                successor.token_hash,
            )
            .outerjoin(
                successor,
                and_(
                    successor.id == RefreshToken.replaced_by,
                    successor.used_at.is_(None),
                    RefreshToken.used_at > func.now() - _seconds(grace_seconds),
                ),
            )
            .where(RefreshToken.token_hash == token_hash)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else RefreshTokenState(*row)

    async def add(
        self, *, user_id: UUID, token_hash: bytes, ttl_seconds: int, device: ClientDevice
    ) -> tuple[UUID, UUID]:
        """Insert the first token of a new session; returns its id and the session's."""
        token_id = new_id()
        await self._insert(token_id, user_id, token_id, token_hash, ttl_seconds, device)
        return token_id, token_id

    async def rotate(
        self, state: RefreshTokenState, *, token_hash: bytes, ttl_seconds: int, device: ClientDevice
    ) -> None:
        """Replace an unused token by its successor."""
        token_id = new_id()
        await self._insert(
            token_id,
            state.user_id,
            state.family_id,
            token_hash,
            ttl_seconds,
            device,
            started_at=state.started_at,
        )
        await self._session.execute(
            update(RefreshToken)
            .where(RefreshToken.id == state.id)
            .values(used_at=func.now(), replaced_by=token_id)
        )

    async def list_sessions(self, user_id: UUID) -> list[Session]:
        """Return the account's active sessions, most recently used first."""
        statement = (
            select(
                RefreshToken.family_id,
                RefreshToken.user_agent,
                RefreshToken.ip,
                RefreshToken.started_at,
                RefreshToken.last_used_at,
            )
            .where(
                RefreshToken.user_id == user_id,
                RefreshToken.used_at.is_(None),
                RefreshToken.revoked_at.is_(None),
                RefreshToken.expires_at > func.now(),
            )
            .order_by(RefreshToken.last_used_at.desc(), RefreshToken.id.desc())
        )
        return [Session(*row) for row in await self._session.execute(statement)]

    async def has_used_address(self, user_id: UUID, address: str) -> bool:
        """Whether the account recently signed in from `address`."""
        used = exists().where(RefreshToken.user_id == user_id, RefreshToken.ip == address)
        return bool(await self._session.scalar(select(used)))

    async def mark_used(self, session_id: UUID) -> None:
        """Update the time of the last use, at most once a minute for all processes."""
        await self._session.execute(
            update(RefreshToken)
            .where(
                RefreshToken.family_id == session_id,
                RefreshToken.used_at.is_(None),
                RefreshToken.last_used_at < func.now() - _seconds(60),
            )
            .values(last_used_at=func.now())
        )

    async def revoke_family(self, user_id: UUID, family_id: UUID) -> bool:
        """Revoke a session of the account; False if it has no such active session."""
        return bool(await self._revoke(RefreshToken.user_id == user_id, RefreshToken.family_id == family_id))

    async def revoke_all(self, user_id: UUID, keep: UUID | None = None) -> list[UUID]:
        """Revoke all sessions of the account but `keep`; returns the revoked ones."""
        others: list[ColumnElement[bool]] = [] if keep is None else [RefreshToken.family_id != keep]
        return await self._revoke(RefreshToken.user_id == user_id, *others)

    async def delete_expired(self, user_id: UUID) -> None:
        """Delete tokens that expired a day ago.

        Until then, their reuse can be recognized.
        """
        await self._session.execute(
            delete(RefreshToken).where(
                RefreshToken.user_id == user_id,
                RefreshToken.expires_at < func.now() - text("interval '1 day'"),
            )
        )

    async def filter_active(self, session_ids: Collection[UUID]) -> set[UUID]:
        """Return those of `session_ids` that are not revoked."""
        statement = (
            select(RefreshToken.family_id)
            .where(RefreshToken.family_id.in_(session_ids), RefreshToken.revoked_at.is_(None))
            .distinct()
        )
        return set((await self._session.scalars(statement)).all())

    async def _insert(
        self,
        token_id: UUID,
        user_id: UUID,
        session_id: UUID,
        token_hash: bytes,
        ttl_seconds: int,
        device: ClientDevice,
        **more: datetime,
    ) -> None:
        await self._session.execute(
            insert(RefreshToken).values(
                id=token_id,
                user_id=user_id,
                family_id=session_id,
                token_hash=token_hash,
                expires_at=func.now() + _seconds(ttl_seconds),
                user_agent=device.user_agent,
                ip=device.ip,
                **more,
            )
        )

    async def _revoke(self, *conditions: ColumnElement[bool]) -> list[UUID]:
        statement = (
            update(RefreshToken)
            .where(RefreshToken.revoked_at.is_(None), *conditions)
            .values(revoked_at=func.now())
            .returning(RefreshToken.family_id)
        )
        return list(set((await self._session.scalars(statement)).all()))


def _seconds(number: float) -> ColumnElement[timedelta]:
    interval: ColumnElement[timedelta] = func.make_interval(0, 0, 0, 0, 0, 0, number)
    return interval
