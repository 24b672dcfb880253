"""Queries of conversations, each restricted to its account."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Subquery,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
    update,
)

from gateway.domain.conversations.models import EXCERPT_CHARACTERS, Conversation, ConversationMatch, SearchHit
from gateway.domain.pagination import Cursor, ListSlice
from gateway.models.conversation import Conversation as Table
from gateway.models.message import Message
from gateway.repositories.base import Repository
from gateway.repositories.bounded_pages import bounded_page

# An expired lease does not count: its turn's process died.
_RUNNING = case((Table.running_until > func.now(), Table.running_message_id), else_=null())

_COLUMNS = (
    Table.id,
    Table.title,
    Table.model,
    Table.system,
    Table.head_id,
    _RUNNING,
    Table.created_at,
    Table.updated_at,
)
_NEWEST_FIRST = (Table.updated_at.desc(), Table.id.desc())


def _contains(user_id: UUID, query: str) -> tuple[ColumnElement[bool], ...]:
    return Message.user_id == user_id, Message.content.icontains(query, autoescape=True)


def _newest_hit(user_id: UUID, query: str) -> FromClause:
    """Select a conversation's newest message with the query, and an excerpt."""
    at = func.strpos(func.lower(Message.content), func.lower(query))
    length = func.char_length(literal(query))
    around = EXCERPT_CHARACTERS + 1
    return (
        select(
            Message.id.label("message_id"),
            func.substr(Message.content, func.greatest(1, at - around), func.least(around, at - 1)).label(
                "before"
            ),
            func.substr(Message.content, at, length).label("match"),
            func.substr(Message.content, at + length, around).label("after"),
        )
        .where(Message.conversation_id == Table.id, *_contains(user_id, query))
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(1)
        .lateral("hit")
    )


def _to_found_conversation(*row: Any) -> ConversationMatch:
    conversation, hit = row[: len(_COLUMNS)], row[len(_COLUMNS) :]
    return ConversationMatch(*conversation, hit=None if hit[0] is None else SearchHit.excerpt(*hit))


class ConversationRepository(Repository):
    """Conversations of one account.

    None or False for those missing or of another account.
    """

    async def add(self, user_id: UUID, *, title: str, model: str | None, system: str | None) -> Conversation:
        """Insert a conversation without messages."""
        statement = (
            insert(Table)
            .values(
                user_id=user_id,
                title=title,
                titled_by="owner" if title else "question",
                model=model,
                system=system,
            )
            .returning(*_COLUMNS)
        )
        return Conversation(*(await self._session.execute(statement)).one())

    async def get(self, user_id: UUID, conversation_id: UUID) -> Conversation | None:
        statement = select(*_COLUMNS).where(Table.id == conversation_id, Table.user_id == user_id)
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else Conversation(*row)

    async def list_recent(self, user_id: UUID, after: Cursor | None, limit: int) -> ListSlice[Conversation]:
        """Return at most `limit` conversations after `after`, last updated first.

        Fewer if they are large.
        """
        page = self._page(user_id, after, limit)
        statement = (
            select(*_COLUMNS, page.c.more)
            .join(page, page.c.id == Table.id)
            .where(Table.user_id == user_id)
            .order_by(*_NEWEST_FIRST)
        )
        found = (await self._session.execute(statement)).all()
        return ListSlice([Conversation(*row[:-1]) for row in found], bool(found) and found[0][-1])

    async def search(
        self, user_id: UUID, query: str, after: Cursor | None, limit: int
    ) -> ListSlice[ConversationMatch]:
        """Like `list_recent`, for conversations with `query` in the title or a message.

        Ignores case.
        """
        in_message = exists().where(Message.conversation_id == Table.id, *_contains(user_id, query))
        page = self._page(
            user_id, after, limit, or_(Table.title.icontains(query, autoescape=True), in_message)
        )
        hit = _newest_hit(user_id, query)
        statement = (
            select(*_COLUMNS, *hit.c, page.c.more)
            .join(page, page.c.id == Table.id)
            .outerjoin(hit, true())
            .where(Table.user_id == user_id)
            .order_by(*_NEWEST_FIRST)
        )
        found = [list(row) for row in await self._session.execute(statement)]
        return ListSlice([_to_found_conversation(*row[:-1]) for row in found], bool(found) and found[0][-1])

    @staticmethod
    def _page(user_id: UUID, after: Cursor | None, limit: int, *conditions: ColumnElement[bool]) -> Subquery:
        size = (1 + func.coalesce(func.octet_length(Table.system), 0)).label("size")
        rows = select(Table.id, Table.updated_at.label("at"), size).where(
            Table.user_id == user_id, *conditions
        )
        if after is not None:
            # A row comparison scans one index range, however deep the page is.
            position = tuple_(literal(after.at), literal(after.id))
            rows = rows.where(tuple_(Table.updated_at, Table.id) < position)
        return bounded_page(rows.order_by(*_NEWEST_FIRST), limit, newest_first=True)

    async def claim_title(self, user_id: UUID, conversation_id: UUID) -> bool:
        """Claim the generation of a title: True once, and never if the owner set one."""
        statement = (
            update(Table)
            .where(Table.id == conversation_id, Table.user_id == user_id, Table.titled_by == "question")
            .values(titled_by="asked")
            .returning(Table.id)
        )
        return await self._session.scalar(statement) is not None

    async def set_title(self, user_id: UUID, conversation_id: UUID, title: str) -> None:
        """Store a generated title unless the owner has set one.

        Keeps the order of the list.
        """
        await self._session.execute(
            update(Table)
            .where(Table.id == conversation_id, Table.user_id == user_id, Table.titled_by == "asked")
            .values(title=title, titled_by="model")
        )

    async def update(
        self, user_id: UUID, conversation_id: UUID, changes: dict[str, Any]
    ) -> Conversation | None:
        """Update `changes`: title (then the owner's), model, system, head_id."""
        if "title" in changes:
            changes = {**changes, "titled_by": "owner"}
        statement = (
            update(Table)
            .where(Table.id == conversation_id, Table.user_id == user_id)
            .values(**changes, updated_at=func.now())
            .returning(*_COLUMNS)
        )
        row = (await self._session.execute(statement)).one_or_none()
        return None if row is None else Conversation(*row)

    async def delete(self, user_id: UUID, conversation_id: UUID) -> int | None:
        """Delete the conversation and its messages; returns their stored bytes."""
        size = await self.lock_and_get_system_size(user_id, conversation_id)
        if size is None:
            return None
        messages = select(func.coalesce(func.sum(Message.stored_bytes), 0)).where(
            Message.conversation_id == conversation_id, Message.user_id == user_id
        )
        size += await self._session.scalar(messages) or 0
        await self._session.execute(
            delete(Table).where(Table.id == conversation_id, Table.user_id == user_id)
        )
        return size

    async def lock_and_get_system_size(self, user_id: UUID, conversation_id: UUID) -> int | None:
        """Lock the conversation.

        Returns the bytes of its system prompt, or None if missing.
        """
        statement = (
            select(func.coalesce(func.octet_length(Table.system), 0))
            .where(Table.id == conversation_id, Table.user_id == user_id)
            .with_for_update()
        )
        size: int | None = await self._session.scalar(statement)
        return size
