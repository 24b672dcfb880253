"""Queries of accounts."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Row, Select, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gateway.domain.accounts.models import Account, AccountState, Credentials
from gateway.models.refresh_token import RefreshToken
from gateway.models.user import User
from gateway.repositories.base import Repository

_ACCOUNT = (User.id, User.email, User.name, User.role, User.tier, User.status, User.created_at)
_CREDENTIALS = (
    User.id,
    User.email,
    User.password_hash,
    User.role,
    User.tier,
    User.status,
    User.token_version,
)
_STATE = (User.role, User.tier, User.status, User.token_version)


class UserRepository(Repository):
    """Accounts, by id or by normalized e-mail address."""

    async def add(
        self, *, email: str, name: str, password_hash: str, tier: str, role: str = "user"
    ) -> Account | None:
        """Insert a new account; None if the e-mail address is taken."""
        statement = (
            insert(User)
            .values(email=email, name=name, password_hash=password_hash, role=role, tier=tier)
            .on_conflict_do_nothing(index_elements=[User.email])
            .returning(*_ACCOUNT)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else Account(*row)

    async def get(self, user_id: UUID) -> Account | None:
        row = (await self._session.execute(select(*_ACCOUNT).where(User.id == user_id))).one_or_none()
        return None if row is None else Account(*row)

    async def email_exists(self, email: str) -> bool:
        return bool(await self._session.scalar(select(exists().where(User.email == email))))

    async def count(self) -> int:
        return int(await self._session.scalar(select(func.count()).select_from(User)) or 0)

    async def get_credentials_by_email(self, email: str) -> Credentials | None:
        return _credentials(
            (await self._session.execute(select(*_CREDENTIALS).where(User.email == email))).one_or_none()
        )

    async def get_credentials(self, user_id: UUID) -> Credentials | None:
        return _credentials((await self._session.execute(_by_id(user_id))).one_or_none())

    async def lock(self, user_id: UUID) -> Credentials | None:
        """Return the account's credentials, locked until the unit of work ends.

        Everything that starts, uses or revokes sessions takes this lock, so that no session starts while all
        are revoked.
        """
        statement = _by_id(user_id).with_for_update(key_share=True)
        return _credentials((await self._session.execute(statement)).one_or_none())

    async def get_session_state(self, user_id: UUID, session_id: UUID) -> tuple[AccountState, bool] | None:
        """Return the account's state and whether the session is active.

        None without an account.
        """
        is_live = exists().where(
            RefreshToken.family_id == session_id,
            RefreshToken.user_id == user_id,
            RefreshToken.revoked_at.is_(None),
        )
        row = (await self._session.execute(select(*_STATE, is_live).where(User.id == user_id))).one_or_none()
        return None if row is None else (AccountState(*row[:4]), row[4])

    async def filter_active(self, user_ids: Collection[UUID]) -> set[UUID]:
        """Return those of `user_ids` that are active accounts."""
        statement = select(User.id).where(User.id.in_(user_ids), User.status == "active")
        return set((await self._session.scalars(statement)).all())

    async def lock_and_count_other_admins(self, user_id: UUID) -> int:
        """Count other active admins and lock them, so two cannot be removed at once."""
        statement = (
            select(User.id)
            .where(User.role == "admin", User.status == "active")
            .order_by(User.id)
            .with_for_update(key_share=True)
        )
        admins = (await self._session.scalars(statement)).all()
        return sum(admin != user_id for admin in admins)

    async def update_profile(self, user_id: UUID, *, name: str | None, email: str | None) -> Account | None:
        """Update the given fields; raises IntegrityError if the e-mail address is taken."""
        changes = {"name": name, "email": email}
        statement = (
            update(User)
            .where(User.id == user_id)
            .values({field: value for field, value in changes.items() if value is not None})
            .returning(*_ACCOUNT)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else Account(*row)

    async def set_password(self, user_id: UUID, *, old_hash: str, new_hash: str) -> bool:
        """Replace `old_hash`; False if it was replaced meanwhile."""
        statement = (
            update(User)
            .where(User.id == user_id, User.password_hash == old_hash)
            .values(password_hash=new_hash)
            .returning(User.id)
        )
        return await self._session.scalar(statement) is not None

    async def reset_password(self, user_id: UUID, new_hash: str) -> None:
        """Set a password regardless of the old one, and revoke all access tokens."""
        await self._session.execute(
            update(User)
            .where(User.id == user_id)
            .values(password_hash=new_hash, token_version=User.token_version + 1)
        )

    async def revoke_access_tokens(self, user_id: UUID) -> None:
        """Revoke every access token issued so far."""
        await self._session.execute(
            update(User).where(User.id == user_id).values(token_version=User.token_version + 1)
        )

    async def delete(self, user_id: UUID) -> None:
        """Delete the account and, by the database's cascades, everything it owns."""
        await self._session.execute(delete(User).where(User.id == user_id))


def _by_id(user_id: UUID) -> Select[UUID, str, str, str, str, str, int]:
    return select(*_CREDENTIALS).where(User.id == user_id)


def _credentials(row: Row[UUID, str, str, str, str, str, int] | None) -> Credentials | None:
    return None if row is None else Credentials(*row)
