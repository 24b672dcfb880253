"""What is held about an account: handed to its owner on request, and taken out of everything at its end."""

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

from gateway.cache.auth_cache import AuthCache
from gateway.cache.event_log import TTL_SECONDS, EventLog
from gateway.cache.response_cache import ResponseCache
from gateway.core.exceptions import Conflict, LastAdmin, NotFound
from gateway.core.ids import new_id
from gateway.domain.account import Credentials
from gateway.domain.pages import Cursor
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.endings import Endings
from gateway.services.images import ImageService
from gateway.services.letters import AccountNotices

log = structlog.get_logger(__name__)

PAGE = 500
_USAGE_ROWS = 50_000


class AccountDataService:
    """Export and deletion, over every table that names an account.

    `confirm` checks the account's password and raises where it is wrong.
    """

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        cache: AuthCache,
        responses: ResponseCache,
        events: EventLog,
        endings: Endings,
        confirm: Callable[[UUID, str], Awaitable[Credentials]],
        images: ImageService,
        notices: AccountNotices,
        *,
        page: int = PAGE,
    ) -> None:
        self._uow = uow
        self._cache = cache
        self._responses = responses
        self._events = events
        self._endings = endings
        self._confirm = confirm
        self._images = images
        self._notices = notices
        self._page = page

    async def delete(self, user_id: UUID, password: str) -> None:
        """Deletes the account and all that is its; what it used stays in the sums, on nobody's name.

        Raises:
            AuthenticationFailed: the password is wrong. LastAdmin: nobody could administer the gateway then.
            Conflict: its role was changed in the meantime.
        """
        credentials = await self._confirm(user_id, password)
        async with self._uow() as uow:
            await _refuse_last_admin(uow, credentials)
        # Turns that run are told to end before what they would write to is gone.
        await self._endings.account(user_id)
        salt, tombstone = secrets.token_hex(16), new_id()
        await self._forget_usage(user_id, salt)
        async with self._uow() as uow:
            # Asked again, and held this time: another admin may have left in the meantime.
            await _refuse_last_admin(uow, credentials)
            account = await uow.users.lock(user_id)
            if account is None:
                raise NotFound
            if account.role != credentials.role:
                raise Conflict("The account was changed a moment ago; try again.")
            keys, sessions = await uow.account_data.cached_under(user_id)
            await uow.audit.forget(user_id, tombstone=tombstone)
            await uow.audit.add("user.deleted", actor_id=None, target_type="user", target_id=tombstone)
            await uow.usage.forget(user_id, salt=salt)
            digests = await uow.images.digests_of(user_id)
            logged_since = datetime.now(UTC) - timedelta(seconds=2 * TTL_SECONDS)
            answers = await uow.messages.answers_since(user_id, logged_since)
            await uow.users.delete(user_id)
        await self._endings.account(user_id)  # turns that began in between
        await self._images.sweep_if_possible(digests)
        await self._cache.forget_sessions(*sessions)
        for key_hash in keys:
            await self._cache.forget_key(key_hash)
        await self._responses.forget(user_id)
        await self._events.forget(answers)
        await self._notices.forget(account.email)
        log.info("account_deleted", tombstone=str(tombstone))

    async def _forget_usage(self, user_id: UUID, salt: str) -> None:
        """The bulk of it, a piece at a time: one statement over years could take longer than allowed."""
        pending = True
        while pending:
            async with self._uow() as uow:
                pending = await uow.usage.forget(user_id, salt=salt, limit=_USAGE_ROWS) == _USAGE_ROWS

    async def export(self, user_id: UUID) -> AsyncIterator[bytes]:
        """One JSON document in pieces; the first is there before anything is sent.

        Raises:
            NotFound: the account is gone.
        """
        async with self._uow() as uow:
            held = uow.account_data
            account = await held.account(user_id)
            if account is None:
                raise NotFound
            small = {
                "account": account,
                "sessions": await held.sessions(user_id),
                "api_keys": await held.api_keys(user_id),
                "password_resets": await held.password_resets(user_id),
                "idempotency_keys": await held.idempotency_keys(user_id),
                "budgets": await held.budgets(user_id),
                "cached_questions": await held.cached_questions(user_id),
            }
        return self._pieces(user_id, small)

    async def _pieces(self, user_id: UUID, small: dict[str, Any]) -> AsyncIterator[bytes]:
        yield _json(small)[:-1]
        yield b',"conversations":['
        async for piece in self._conversations(user_id):
            yield piece
        yield b"]"
        for name, pages in (
            ("images", self._pictures(user_id)),
            ("usage", self._usage(user_id)),
            ("audit", self._audit(user_id)),
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
                found = await uow.conversations.newest(user_id, after, self._page)
            for conversation in found.items:
                yield (b"" if first else b",") + _json(asdict(conversation))[:-1] + b',"messages":['
                first = False
                async for piece in self._messages(user_id, conversation.id):
                    yield piece
                yield b"]}"
            if more := found.more:
                after = Cursor(found.items[-1].updated_at, found.items[-1].id)

    async def _messages(self, user_id: UUID, conversation_id: UUID) -> AsyncIterator[bytes]:
        after: Cursor | None = None
        more = True
        while more:
            async with self._uow() as uow:
                found = await uow.messages.oldest(user_id, conversation_id, after, self._page, whole=True)
            for at, message in enumerate(found.items):
                yield (b"," if after is not None or at else b"") + _json(asdict(message))
            if more := found.more:
                after = Cursor(found.items[-1].created_at, found.items[-1].id)

    async def _pictures(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        """What is known of each; the pictures themselves are fetched one by one."""
        after: Cursor | None = None
        while True:
            async with self._uow() as uow:
                found = await uow.images.newest(user_id, after, self._page)
            yield [asdict(image) for image in found]
            if len(found) < self._page:
                return
            after = Cursor(found[-1].created_at, found[-1].id)

    async def _usage(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        after: UUID | None = None
        while True:
            async with self._uow() as uow:
                found = await uow.usage.rows(None, after=after, limit=self._page, user_id=user_id)
            yield [asdict(row) for row in found]
            if len(found) < self._page:
                return
            after = found[-1].id

    async def _audit(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        before: UUID | None = None
        while True:
            async with self._uow() as uow:
                found = await uow.audit.about(user_id, before=before, limit=self._page)
            # What others did is the account's to know; where they did it from is theirs.
            yield [
                asdict(one) if one.actor_id == user_id else {**asdict(one), "actor_id": None, "ip": None}
                for one in found
            ]
            if len(found) < self._page:
                return
            before = found[-1].id


async def _refuse_last_admin(uow: UnitOfWork, account: Credentials) -> None:
    if account.role == "admin" and not await uow.users.other_active_admins(account.user_id):
        raise LastAdmin


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=_digits)


def _digits(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
