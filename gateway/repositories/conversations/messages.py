"""Queries of messages, each restricted to the account of their conversation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import CTE, case, func, literal, null, select, tuple_, union
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from gateway.domain.conversations.models import BranchMessage, StoredMessage
from gateway.domain.pagination import Cursor, ListSlice
from gateway.models.message import Message
from gateway.repositories.base import Repository
from gateway.repositories.bounded_pages import bounded_page

_COLUMNS = (
    Message.id,
    Message.parent_id,
    Message.role,
    Message.content,
    Message.status,
    Message.model,
    Message.provider,
    Message.finish_reason,
    Message.prompt_tokens,
    Message.completion_tokens,
    Message.cost_usd,
    Message.receipt,
    Message.tool_calls,
    Message.error,
    Message.meta,
    Message.details,
    Message.created_at,
    Message.summary,
    Message.request,
    Message.events,
)

# Columns of messages that the API returns: `summary` and `request` are for models only.
_VISIBLE_COLUMNS = (*_COLUMNS[:-3], null(), null(), Message.events)
# Estimated memory of a message; JSON values are compressed on disk and larger in memory.
_SIZE = func.octet_length(Message.content) + 4 * (
    func.coalesce(func.pg_column_size(Message.receipt), 0)
    + func.coalesce(func.pg_column_size(Message.tool_calls), 0)
    + func.coalesce(func.pg_column_size(Message.meta), 0)
    + func.coalesce(func.pg_column_size(Message.details), 0)
)
_SIZE_WITH_HIDDEN = _SIZE + 4 * func.coalesce(func.pg_column_size(Message.request), 0)

_OTHER = aliased(Message)
_IN_ORDER = func.array_agg(aggregate_order_by(_OTHER.id, _OTHER.created_at, _OTHER.id))
# All children of the same parent, in creation order. Root messages need a separate lookup, because no index
# supports "is not distinct from null".
_SIBLINGS = case(
    (
        Message.parent_id.is_(None),
        select(_IN_ORDER)
        .where(_OTHER.conversation_id == Message.conversation_id, _OTHER.parent_id.is_(None))
        .correlate(Message)
        .scalar_subquery(),
    ),
    else_=select(_IN_ORDER).where(_OTHER.parent_id == Message.parent_id).correlate(Message).scalar_subquery(),
).label("siblings")


class MessageRepository(Repository):
    """Messages of one account's conversations.

    Empty for those missing or of other accounts.
    """

    async def get_newest_descendant(
        self, user_id: UUID, conversation_id: UUID, message_id: UUID
    ) -> UUID | None:
        """Return the newest message below the given one, or its own id.

        None if it is missing.
        """
        walk = (
            select(Message.id, Message.created_at)
            .where(
                Message.id == message_id,
                Message.conversation_id == conversation_id,
                Message.user_id == user_id,
            )
            .cte("walk", recursive=True)
        )
        child = aliased(Message)
        walk = walk.union_all(select(child.id, child.created_at).where(child.parent_id == walk.c.id))
        newest = select(walk.c.id).order_by(walk.c.created_at.desc(), walk.c.id.desc()).limit(1)
        return await self._session.scalar(newest)

    async def get(self, user_id: UUID, message_id: UUID) -> tuple[UUID, StoredMessage] | None:
        """Return the message and its conversation's id."""
        statement = select(Message.conversation_id, *_COLUMNS).where(
            Message.id == message_id, Message.user_id == user_id
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else (row[0], StoredMessage(*row[1:]))

    async def list_exchanges(self, user_id: UUID, message_ids: Collection[UUID]) -> list[StoredMessage]:
        """Return the messages with these ids, together with their questions or answers."""
        ids = list(message_ids)
        owned = Message.user_id == user_id
        # A union, because neither index is used for an `or` over a subselect.
        exchange_ids = union(
            select(Message.id).where(Message.id.in_(ids), owned),
            select(Message.parent_id).where(Message.id.in_(ids), owned, Message.role == "assistant"),
            select(Message.id).where(Message.parent_id.in_(ids), owned, Message.role == "assistant"),
        ).subquery()
        statement = select(*_COLUMNS).where(Message.id.in_(select(exchange_ids.c.id)), owned)
        return [StoredMessage(*row) for row in await self._session.execute(statement)]

    async def list_answers_since(self, user_id: UUID, since: datetime) -> list[UUID]:
        """Return the answers completed since then, and those still running."""
        statement = select(Message.id).where(
            Message.user_id == user_id,
            Message.role == "assistant",
            func.coalesce(Message.completed_at, func.now()) > since,
        )
        return list(await self._session.scalars(statement))

    async def list_branch(self, user_id: UUID, conversation_id: UUID, last_id: UUID) -> list[BranchMessage]:
        """Return the messages up to `last_id`, oldest first, with their siblings."""
        walk = self._walk(user_id, conversation_id, last_id)
        statement = (
            select(*_COLUMNS, _SIBLINGS).join(walk, walk.c.id == Message.id).order_by(walk.c.depth.desc())
        )
        return [BranchMessage(*row) for row in await self._session.execute(statement)]

    async def list_branch_sizes(
        self, user_id: UUID, conversation_id: UUID, last_id: UUID, *, include_hidden: bool = False
    ) -> list[tuple[UUID, int]]:
        """Return ids and estimated bytes of the same messages.

        With `include_hidden`, `request` counts too.
        """
        walk = self._walk(user_id, conversation_id, last_id)
        size = _SIZE_WITH_HIDDEN if include_hidden else _SIZE
        statement = select(Message.id, size).join(walk, walk.c.id == Message.id).order_by(walk.c.depth.desc())
        return [(id_, size) for id_, size in await self._session.execute(statement)]

    async def list_visible(self, user_id: UUID, ids: Sequence[UUID]) -> list[BranchMessage]:
        """Return these messages in this order, without `summary` and `request`.

        Skips deleted ones.
        """
        statement = select(*_VISIBLE_COLUMNS, _SIBLINGS).where(
            Message.id.in_(ids), Message.user_id == user_id
        )
        found = {row[0]: BranchMessage(*row) for row in await self._session.execute(statement)}
        return [found[id_] for id_ in ids if id_ in found]

    @staticmethod
    def _walk(user_id: UUID, conversation_id: UUID, last_id: UUID) -> CTE:
        walk = (
            select(Message.id, Message.parent_id, literal(1).label("depth"))
            .where(
                Message.id == last_id,
                Message.conversation_id == conversation_id,
                Message.user_id == user_id,
            )
            .cte("walk", recursive=True)
        )
        parent = aliased(Message)
        return walk.union_all(
            select(parent.id, parent.parent_id, walk.c.depth + 1).where(parent.id == walk.c.parent_id)
        )

    async def list_oldest(
        self,
        user_id: UUID,
        conversation_id: UUID,
        after: Cursor | None,
        limit: int,
        *,
        include_hidden: bool = False,
    ) -> ListSlice[StoredMessage]:
        """Return at most `limit` messages of all branches, in creation order.

        Fewer if they are large. With `include_hidden`, including `summary` and `request`.
        """
        size = (_SIZE_WITH_HIDDEN if include_hidden else _SIZE).label("size")
        rows = select(Message.id, Message.created_at.label("at"), size).where(
            Message.conversation_id == conversation_id, Message.user_id == user_id
        )
        if after is not None:
            position = tuple_(literal(after.at), literal(after.id))
            rows = rows.where(tuple_(Message.created_at, Message.id) > position)
        page = bounded_page(rows.order_by(Message.created_at, Message.id), limit)
        statement = (
            select(*(_COLUMNS if include_hidden else _VISIBLE_COLUMNS), page.c.more)
            .join(page, page.c.id == Message.id)
            .where(Message.user_id == user_id)
            .order_by(Message.created_at, Message.id)
        )
        found = (await self._session.execute(statement)).all()
        return ListSlice([StoredMessage(*row[:-1]) for row in found], bool(found) and found[0][-1])
