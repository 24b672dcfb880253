"""Accounts, turns and rows in the test database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.ids import new_id
from gateway.domain.money import Usage
from gateway.domain.usage.turn_records import (
    ConversationLease,
    FinishedTurn,
    NewTurn,
    OpenedTurn,
    UsageEntry,
    UsageOwner,
)
from gateway.models.user import User
from gateway.repositories.turns.repository import TurnRepository


async def create_account(engine: AsyncEngine) -> UUID:
    """Insert an account and return its id."""
    user_id = new_id()
    async with engine.begin() as connection:
        await connection.execute(
            insert(User).values(id=user_id, email=f"{user_id}@example.com", password_hash="-")
        )
    return user_id


async def fetch_rows(engine: AsyncEngine, statement: str, **arguments: Any) -> list[dict[str, Any]]:
    """Run a statement, commit, and return its rows."""
    async with engine.begin() as connection:
        return [dict(row) for row in (await connection.execute(text(statement), arguments)).mappings()]


async def wait_for_row(engine: AsyncEngine, statement: str, **arguments: Any) -> None:
    """Poll until a statement returns a row."""
    async with asyncio.timeout(20):
        while not await fetch_rows(engine, statement, **arguments):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class StartedTurn:
    """A turn that was opened and is not closed."""

    opened: OpenedTurn
    question_id: UUID
    answer_id: UUID
    user_id: UUID

    @property
    def conversation_id(self) -> UUID:
        return self.opened.conversation_id

    @property
    def lease(self) -> ConversationLease:
        """The lease on its conversation."""
        return ConversationLease(self.opened.conversation_id, self.opened.lock_token)

    @property
    def history_texts(self) -> list[str]:
        """Texts of the history that was loaded for the turn."""
        return [message.text for message in self.opened.history]


async def begin_turn(turns: TurnRepository, user_id: UUID, question: str, **fields: Any) -> StartedTurn:
    """Open a turn; `fields` are those of `NewTurn`."""
    question_id, answer_id = new_id(), new_id()
    opened = await turns.open_turn(NewTurn(user_id, question, question_id, answer_id, **fields))
    return StartedTurn(opened, question_id, answer_id, user_id)


async def finish_turn(
    turns: TurnRepository,
    begun: StartedTurn,
    content: str,
    status: str = "complete",
    calls: Sequence[UsageEntry] = (),
    **fields: Any,
) -> FinishedTurn:
    """Close a turn; `fields` are those of `FinishedTurn`."""
    turn = FinishedTurn(
        owner=UsageOwner(begun.user_id, "req-1", message_id=begun.answer_id),
        conversation_id=begun.conversation_id,
        message_id=begun.answer_id,
        content=content,
        status=status,  # type: ignore[arg-type]
        lock_token=begun.opened.lock_token,
        calls=calls,
        **fields,
    )
    await turns.close_turn(turn)
    return turn


async def complete_turn(
    turns: TurnRepository, user_id: UUID, question: str, answer: str, **fields: Any
) -> StartedTurn:
    """Open and close a turn."""
    begun = await begin_turn(turns, user_id, question, **fields)
    await finish_turn(turns, begun, answer)
    return begun


def usage_entry(**fields: Any) -> UsageEntry:
    """The usage entry of one model call."""
    given: dict[str, Any] = {
        "kind": "chat",
        "model": "small",
        "provider": "mock",
        "usage": Usage(3, 4),
        "cost_usd": Decimal("0.0000000001"),
        **fields,
    }
    return UsageEntry(**given)
