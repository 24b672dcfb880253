"""Deletion of an account and everything stored about it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from gateway.cache.auth import AuthCache
from gateway.cache.event_log import TTL_SECONDS, EventLog
from gateway.cache.response_cache import ResponseCache
from gateway.core.exceptions import Conflict, LastAdmin, NotFound
from gateway.core.ids import new_id
from gateway.domain.accounts.models import Credentials
from gateway.repositories.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gateway.services.accounts.notices import AccountNotifier
from gateway.services.accounts.revocation import RevocationService
from gateway.services.generation.image_library import ImageLibrary

log = structlog.get_logger(__name__)

_USAGE_BATCH_SIZE = 50_000


@dataclass(frozen=True, slots=True)
class AccountCaches:
    """Everything in Valkey that belongs to accounts."""

    auth: AuthCache
    responses: ResponseCache
    events: EventLog


class AccountDeletionService:
    """Deletes accounts from every table and cache that names one.

    Args:
        confirm_password: checks the account's password and raises if it is wrong.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        confirm_password: Callable[[UUID, str], Awaitable[Credentials]],
        revocation: RevocationService,
        images: ImageLibrary,
        notifier: AccountNotifier,
        caches: AccountCaches,
    ) -> None:
        self._uow = uow
        self._confirm_password = confirm_password
        self._revocation = revocation
        self._images = images
        self._notifier = notifier
        self._caches = caches

    async def delete(self, user_id: UUID, password: str) -> None:
        """Delete the account and its data; usage records stay, without an owner.

        Raises:
            AuthenticationFailed: the password is wrong.
            LastAdmin: the account is the only active administrator.
            Conflict: the account's role changed in the meantime.
        """
        credentials = await self._confirm_password(user_id, password)
        async with self._uow() as uow:
            await _require_other_admin(uow, credentials)
        # Cancel running turns before the rows they write to are deleted.
        await self._revocation.revoke_account(user_id)
        salt, tombstone = secrets.token_hex(16), new_id()
        await self._anonymize_usage(user_id, salt)
        async with self._uow() as uow:
            # Checked again under the lock: another administrator may have been removed in the meantime.
            await _require_other_admin(uow, credentials)
            account = await uow.users.lock(user_id)
            if account is None:
                raise NotFound
            if account.role != credentials.role:
                raise Conflict("The account was changed by another request. Try again.")
            keys, sessions = await uow.account_data.list_cache_keys(user_id)
            await uow.audit.anonymize_account(user_id, tombstone=tombstone)
            await uow.audit.add("user.deleted", actor_id=None, target_type="user", target_id=tombstone)
            await uow.usage.anonymize_account(user_id, salt=salt)
            digests = await uow.images.list_digests(user_id)
            logged_since = datetime.now(UTC) - timedelta(seconds=2 * TTL_SECONDS)
            answer_ids = await uow.messages.list_answers_since(user_id, logged_since)
            await uow.users.delete(user_id)
        await self._revocation.revoke_account(user_id)  # turns that started in between
        await self._images.try_delete_unreferenced(digests)
        await self._caches.auth.invalidate_sessions(*sessions)
        for key_hash in keys:
            await self._caches.auth.invalidate_key(key_hash)
        await self._caches.responses.delete_account(user_id)
        await self._caches.events.delete(answer_ids)
        await self._notifier.delete_mails_to(account.email)
        log.info("account.deleted", tombstone=str(tombstone))

    async def _anonymize_usage(self, user_id: UUID, salt: str) -> None:
        """Anonymize usage records in batches.

        One statement over years of rows could exceed the timeout.
        """
        pending = True
        while pending:
            async with self._uow() as uow:
                pending = (
                    await uow.usage.anonymize_account(user_id, salt=salt, limit=_USAGE_BATCH_SIZE)
                    == _USAGE_BATCH_SIZE
                )


async def _require_other_admin(uow: UnitOfWork, account: Credentials) -> None:
    if account.role == "admin" and not await uow.users.lock_and_count_other_admins(account.user_id):
        raise LastAdmin
