"""Export of everything stored about an account, as one JSON document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from gateway.core.exceptions import NotFound
from gateway.domain.pagination import Cursor
from gateway.repositories.unit_of_work import UnitOfWorkFactory

PAGE_SIZE = 500


class AccountExporter:
    """Exports everything stored about an account, from every table that names one."""

    def __init__(self, uow: UnitOfWorkFactory, *, page_size: int = PAGE_SIZE) -> None:
        self._uow = uow
        self.page_size = page_size

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
                page = await uow.conversations.list_recent(user_id, after, self.page_size)
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
                    user_id, conversation_id, after, self.page_size, include_hidden=True
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
                images = await uow.images.list_recent(user_id, after, self.page_size)
            yield [asdict(image) for image in images]
            if len(images) < self.page_size:
                return
            after = Cursor(images[-1].created_at, images[-1].id)

    async def _usage_pages(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        after: UUID | None = None
        while True:
            async with self._uow() as uow:
                rows = await uow.usage.list_rows(None, after=after, limit=self.page_size, user_id=user_id)
            yield [asdict(row) for row in rows]
            if len(rows) < self.page_size:
                return
            after = rows[-1].id

    async def _audit_pages(self, user_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
        before: UUID | None = None
        while True:
            async with self._uow() as uow:
                records = await uow.audit.list_for_account(user_id, before=before, limit=self.page_size)
            # Audit records by others are exported without the other account's id and IP address.
            yield [
                asdict(record)
                if record.actor_id == user_id
                else {**asdict(record), "actor_id": None, "ip": None}
                for record in records
            ]
            if len(records) < self.page_size:
                return
            before = records[-1].id


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=_encode_value)


def _encode_value(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
