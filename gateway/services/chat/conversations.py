"""Conversations of an account: create, list, read, change, delete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from gateway.core.exceptions import ModelNotFound, NotFound, StorageFull
from gateway.domain.conversations.models import BranchMessage, Conversation, ConversationMatch, StoredMessage
from gateway.domain.pagination import Cursor, Page
from gateway.repositories.unit_of_work import UnitOfWork, UnitOfWorkFactory

# How many messages are read from the database at a time, and about how many bytes.
BATCH_MESSAGES: Final = 200
BATCH_BYTES: Final = 4 * 1024 * 1024


class ConversationService:
    """Use cases of conversations.

    Every method takes the owner's id; conversations of other accounts are not found.

    `model_names` are those that clients may use: models, aliases and `auto`. `storage_limit` returns how many
    bytes an account of a tier may store (None: no limit).
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        model_names: Collection[str],
        storage_limit: Callable[[str], int | None] = lambda tier: None,
    ) -> None:
        self._uow = uow
        self._model_names = frozenset(model_names)
        self._storage_limit = storage_limit

    async def create(
        self, user_id: UUID, tier: str, *, title: str | None, model: str | None, system: str | None
    ) -> Conversation:
        """Create a conversation without messages.

        Raises:
            ModelNotFound: no model has this name.
            QuotaExceeded: the account's storage is full.
        """
        self._check_model(model)
        async with self._uow() as uow:
            conversation = await uow.conversations.add(user_id, title=title or "", model=model, system=system)
            await self._charge_storage(uow, user_id, tier, _byte_count(system))
        return conversation

    async def list_conversations(
        self, user_id: UUID, *, cursor: str | None, limit: int, query: str = ""
    ) -> Page[Conversation] | Page[ConversationMatch]:
        """Return a page of conversations, last changed first.

        With `query`, return only those that match, with the match.

        Raises:
            ValidationFailed: the cursor is invalid.
        """
        after = None if cursor is None else Cursor.decode(cursor)
        query = query.strip()
        async with self._uow() as uow:
            if query:
                found = await uow.conversations.search(user_id, query, after, limit)
                return Page.from_slice(found, lambda row: Cursor(row.updated_at, row.id))
            listed = await uow.conversations.list_recent(user_id, after, limit)
        return Page.from_slice(listed, lambda row: Cursor(row.updated_at, row.id))

    async def read(
        self, user_id: UUID, conversation_id: UUID
    ) -> tuple[Conversation, AsyncGenerator[list[BranchMessage], None]]:
        """Return the conversation and its current branch in batches, oldest first.

        Raises:
            NotFound: the account has no such conversation.
        """
        async with self._uow() as uow:
            conversation = await self._get(uow, user_id, conversation_id)
            sizes: list[tuple[UUID, int]] = []
            if conversation.head_id is not None:
                sizes = await uow.messages.list_branch_sizes(user_id, conversation_id, conversation.head_id)
        return conversation, self._read_branch(user_id, sizes)

    async def _read_branch(
        self, user_id: UUID, sizes: Sequence[tuple[UUID, int]]
    ) -> AsyncGenerator[list[BranchMessage], None]:
        for ids in _batches(sizes):
            async with self._uow() as uow:
                found = await uow.messages.list_visible(user_id, ids)
            yield found

    async def list_messages(
        self, user_id: UUID, conversation_id: UUID, *, cursor: str | None, limit: int
    ) -> Page[StoredMessage]:
        """Return a page of the messages of all branches, in the order of storage.

        Raises:
            NotFound: the account has no such conversation.
            ValidationFailed: the cursor is invalid.
        """
        after = None if cursor is None else Cursor.decode(cursor)
        async with self._uow() as uow:
            await self._get(uow, user_id, conversation_id)
            found = await uow.messages.list_oldest(user_id, conversation_id, after, limit)
        return Page.from_slice(found, lambda row: Cursor(row.created_at, row.id))

    async def update(
        self, user_id: UUID, tier: str, conversation_id: UUID, changes: dict[str, Any]
    ) -> Conversation:
        """Apply `changes`: any of `title`, `model`, `system` and `head_id`.

        If other messages follow the new head, the newest of them becomes the head.

        Raises:
            NotFound: the conversation, or the message of `head_id`.
            ModelNotFound: no model has this name.
        """
        self._check_model(changes.get("model"))
        async with self._uow() as uow:
            if not changes:
                return await self._get(uow, user_id, conversation_id)
            if (requested := changes.get("head_id")) is not None:
                last = await uow.messages.get_newest_descendant(user_id, conversation_id, requested)
                if last is None:
                    raise NotFound()
                changes = {**changes, "head_id": last}
            before = 0
            if "system" in changes:
                before = await uow.conversations.lock_and_get_system_size(user_id, conversation_id) or 0
            conversation = await uow.conversations.update(user_id, conversation_id, changes)
            if conversation is None:
                raise NotFound()
            if "system" in changes:
                await self._charge_storage(uow, user_id, tier, _byte_count(changes["system"]) - before)
        return conversation

    async def delete(self, user_id: UUID, conversation_id: UUID) -> None:
        """Delete the conversation; the ledger keeps the cost of its turns.

        Raises:
            NotFound: the account has no such conversation.
        """
        async with self._uow() as uow:
            freed = await uow.conversations.delete(user_id, conversation_id)
            if freed is None:
                raise NotFound()
            await uow.budgets.add_stored_bytes(user_id, -freed)

    @staticmethod
    async def _get(uow: UnitOfWork, user_id: UUID, conversation_id: UUID) -> Conversation:
        conversation = await uow.conversations.get(user_id, conversation_id)
        if conversation is None:
            raise NotFound()
        return conversation

    async def _charge_storage(self, uow: UnitOfWork, user_id: UUID, tier: str, size: int) -> None:
        most = self._storage_limit(tier)
        if size and not await uow.budgets.add_stored_bytes(user_id, size, most):
            assert most is not None
            raise StorageFull(most)

    def _check_model(self, name: str | None) -> None:
        if name is not None and name not in self._model_names:
            raise ModelNotFound()


def _byte_count(text: str | None) -> int:
    return len((text or "").encode())


def _batches(sizes: Sequence[tuple[UUID, int]]) -> Iterator[list[UUID]]:
    """Split the ids into batches of at most `BATCH_MESSAGES` and about `BATCH_BYTES`."""
    batch: list[UUID] = []
    batch_bytes = 0
    for id_, size in sizes:
        if batch and (len(batch) == BATCH_MESSAGES or batch_bytes + size > BATCH_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(id_)
        batch_bytes += size
    if batch:
        yield batch
