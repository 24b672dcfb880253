"""Deletion of single answers, as stored responses of the Responses API."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from sqlalchemy import delete, func, select, update

from gateway.models.conversation import Conversation
from gateway.models.message import Message
from gateway.repositories.base import Repository
from gateway.repositories.usage.budgets import BudgetRepository

DeleteOutcome = Literal["deleted", "missing", "busy", "has_replies"]


class StoredResponseRepository(Repository):
    """Answers that API clients may delete one by one."""

    async def delete(
        self, user_id: UUID, conversation_id: UUID, answer_id: UUID, question_id: UUID | None
    ) -> DeleteOutcome:
        """Delete the answer, and its question and conversation if they become empty.

        The conversation is locked meanwhile; if the answer was its head, the head moves to the message before
        it.
        """
        held = select(
            Conversation.head_id,
            Conversation.running_message_id,
            Conversation.running_until > func.now(),
            func.coalesce(func.octet_length(Conversation.system), 0),
        ).where(Conversation.id == conversation_id, Conversation.user_id == user_id)
        row = (await self._session.execute(held.with_for_update())).one_or_none()
        if row is None:
            return "missing"
        head_id, running, leased, prompt = row
        if running is not None and leased:
            return "busy"
        if await self._any(Message.parent_id == answer_id):
            return "has_replies"
        freed = await self._delete(answer_id, user_id)
        if freed is None:
            return "missing"
        head = question_id
        if question_id is not None and not await self._any(Message.parent_id == question_id):
            head = await self._session.scalar(select(Message.parent_id).where(Message.id == question_id))
            freed += await self._delete(question_id, user_id) or 0
        if not await self._any(Message.conversation_id == conversation_id):
            freed += prompt
            await self._session.execute(delete(Conversation).where(Conversation.id == conversation_id))
        elif head_id == answer_id:
            moved = update(Conversation).where(Conversation.id == conversation_id).values(head_id=head)
            await self._session.execute(moved)
        await BudgetRepository(self._session).add_stored_bytes(user_id, -freed)
        return "deleted"

    async def _any(self, condition: object) -> bool:
        found = select(Message.id).where(condition).limit(1)  # type: ignore[arg-type]
        return await self._session.scalar(found) is not None

    async def _delete(self, message_id: UUID, user_id: UUID) -> int | None:
        """Delete the message; returns its stored bytes, or None if it is missing."""
        statement = delete(Message).where(Message.id == message_id, Message.user_id == user_id)
        return await self._session.scalar(statement.returning(Message.stored_bytes))
