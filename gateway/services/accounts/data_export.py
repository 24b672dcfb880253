"""Export and deletion of everything stored about an account."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import structlog

from gateway.cache.auth import AuthCache
from gateway.cache.event_log import TTL_SECONDS, EventLog
from gateway.cache.response_cache import ResponseCache
from gateway.core.exceptions import Conflict, LastAdmin, NotFound
from gateway.core.ids import new_id
from gateway.domain.accounts.models import Credentials
from gateway.domain.pagination import Cursor
from gateway.repositories.unit_of_work import UnitOfWork, UnitOfWorkFactory
from gateway.services.accounts.notices import AccountNotifier
from gateway.services.accounts.revocation import RevocationService
from gateway.services.generation.image_library import ImageLibrary

log = structlog.get_logger(__name__)

PAGE_SIZE = 500
_USAGE_BATCH_SIZE = 50_000


class AccountDataService:
    """Exports and deletes accounts across every table that names one.

    Args:
        confirm_password: checks the account's password and raises if it is wrong.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        cache: AuthCache,
        responses: ResponseCache,
        events: EventLog,
        revocation: RevocationService,
        confirm_password: Callable[[UUID, str], Awaitable[Credentials]],
        images: ImageLibrary,
        notifier: AccountNotifier,
        *,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._uow = uow
        self._cache = cache
        self._responses = responses
        self._events = events
        self._revocation = revocation
        self._confirm_password = confirm_password
        self._images = images
        self._notifier = notifier
        self._page_size = page_size

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
        await self._cache.invalidate_sessions(*sessions)
        for key_hash in keys:
            await self._cache.invalidate_key(key_hash)
        await self._responses.delete_account(user_id)
        await self._events.delete(answer_ids)
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

    async def export(self, user_id: UUID) -> AsyncIterator[bytes]:
        """Return one JSON document in chunks.

        The first chunk is read before the response starts.

        Raises:
            NotFound: the account does not exist.
        """
        async with self._uow() as uow:
            tables = uow.account_data
            account = await tables.get_account(user_id)
            if account is None:
                raise NotFound
            single_part = {
                "account": account,
                "sessions": await tables.list_sessions(user_id),
                "api_keys": await tables.list_api_keys(user_id),
                "password_resets": await tables.list_password_resets(user_id),
                "idempotency_keys": await tables.list_idempotency_keys(user_id),
                "budgets": await tables.list_budgets(user_id),
                "cached_questions": await tables.list_cached_questions(user_id),
            }
        return self._stream_export(user_id, single_part)

    async def _stream_export(self, user_id: UUID, single_part: dict[str, Any]) -> AsyncIterator[bytes]:
        yield _json(single_part)[:-1]
        yield b',"conversations":['
        async for chunk in self._conversations(user_id):
            yield chunk
        yield b"]"
        for name, pages in (
            ("images", self._images_pages(user_id)),
            ("usage", self._usage_pages(user_id)),
            ("audit", self._audit_pages(user_id)),
        ):
            yield b',"%s":[' % name.encode()
            first = True
            async for items in pages:
                if items:
                    yield (b"" if first else b",") + b",".join(map(_json, items))
                    first = False
            yield b"]"
        yield b"}"

    async def _conversations(self, user_id: UUID) -> AsyncIterator[bytes]:
        after: Cursor | None = None
        more, first = True, True
        while more:
            async with self._uow() as uow:
                page = await uow.conversations.list_recent(user_id, after, self._page_size)
            for conversation in page.items:
                yield (b"" if first else b",") + _json(asdict(conversation))[:-1] + b',"messages":['
                first = False
                async for chunk in self._messages(user_id, conversation.id):
                    yield chunk
                yield b"]}"
            if more := page.has_more:
                after = Cursor(page.items[-1].updated_at, page.items[-1].id)

    async def _messages(self, user_id: UUID, conversation_id: UUID) -> AsyncIterator[bytes]:
        after: Cursor | None = None
        more = True
        while more:
            async with self._uow() as uow:
                page = await uow.messages.list_oldest(
                    user_id, conversation_id, after, self._page_size, include_hidden=True
                )
            for index, message in enumerate(page.items):
                yield (b"," if after is not None or index else b"") + _json(asdict(message))
            if more := page.has_more:
                after = Cursor(page.items[-1].created_at, page.items[-1].id)

    async def _images_pages(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield image metadata; clients download the image files one by one."""
        after: Cursor | None = None
        while True:
            async with self._uow() as uow:
                images = await uow.images.list_recent(user_id, after, self._page_size)
            yield [asdict(image) for image in images]
            if len(images) < self._page_size:
                return
            after = Cursor(images[-1].created_at, images[-1].id)

    async def _usage_pages(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        after: UUID | None = None
        while True:
            async with self._uow() as uow:
                rows = await uow.usage.list_rows(None, after=after, limit=self._page_size, user_id=user_id)
            yield [asdict(row) for row in rows]
            if len(rows) < self._page_size:
                return
            after = rows[-1].id

    async def _audit_pages(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        before: UUID | None = None
        while True:
            async with self._uow() as uow:
                records = await uow.audit.list_for_account(user_id, before=before, limit=self._page_size)
            # Audit records by others are exported without the other account's id and IP address.
            yield [
                asdict(record)
                if record.actor_id == user_id
                else {**asdict(record), "actor_id": None, "ip": None}
                for record in records
            ]
            if len(records) < self._page_size:
                return
            before = records[-1].id


async def _require_other_admin(uow: UnitOfWork, account: Credentials) -> None:
    if account.role == "admin" and not await uow.users.lock_and_count_other_admins(account.user_id):
        raise LastAdmin


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=_encode_value)


def _encode_value(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
