"""Queries of messages, each by the owner of their conversation."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import exists, literal, select, tuple_
from sqlalchemy.orm import aliased

from gateway.domain.conversation import StoredMessage
from gateway.domain.pages import Cursor
from gateway.models.message import Message
from gateway.repositories.base import Repository

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
    Message.created_at,
)


class MessageRepository(Repository):
    """Messages of one account's conversations; empty for what is not there or not its."""

    async def is_in(self, user_id: UUID, conversation_id: UUID, message_id: UUID) -> bool:
        """Whether the message belongs to that conversation of that user."""
        found = exists().where(
            Message.id == message_id,
            Message.conversation_id == conversation_id,
            Message.user_id == user_id,
        )
        return bool(await self._session.scalar(select(found)))

    async def branch(self, user_id: UUID, conversation_id: UUID, last_id: UUID) -> list[StoredMessage]:
        """The messages from the first to `last_id`, oldest first."""
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
        walk = walk.union_all(
            select(parent.id, parent.parent_id, walk.c.depth + 1).where(parent.id == walk.c.parent_id)
        )
        statement = select(*_COLUMNS).join(walk, walk.c.id == Message.id).order_by(walk.c.depth.desc())
        return [StoredMessage(*row) for row in await self._session.execute(statement)]

    async def oldest(
        self, user_id: UUID, conversation_id: UUID, after: Cursor | None, limit: int
    ) -> list[StoredMessage]:
        """At most `limit` messages of all branches in the order they were written, from behind `after`."""
        statement = select(*_COLUMNS).where(
            Message.conversation_id == conversation_id, Message.user_id == user_id
        )
        if after is not None:
            position = tuple_(literal(after.at), literal(after.id))
            statement = statement.where(tuple_(Message.created_at, Message.id) > position)
        statement = statement.order_by(Message.created_at, Message.id).limit(limit)
        return [StoredMessage(*row) for row in await self._session.execute(statement)]
