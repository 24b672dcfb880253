"""The hot path: a persisted turn is two statements, each one a unit of work and a round trip of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import clean_text, driver_connection, dump_json
from gateway.core.exceptions import NotFound, TurnInProgress
from gateway.core.ids import new_id
from gateway.domain.ledger import FinishedTurn, NewTurn, OpenedTurn, UsageEntry, UsageOwner, readable_history
from gateway.repositories import turn_sql


class TurnRepository:
    """Opens and ends turns and records usage.

    It takes connections of its own: a transaction around a single statement would add two round trips.
    All methods raise `Unavailable` where the database cannot be reached.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin_turn(self, turn: NewTurn) -> OpenedTurn:
        """Write the question and a pending answer down and take the conversation.

        The conversation stays taken until `finish_turn`, or until the lease runs out; the answer of a turn
        whose lease has run out becomes `interrupted`.

        Raises:
            NotFound: no such conversation or parent message, or another owner's.
            TurnInProgress: the conversation is being answered.
        """
        if turn.conversation_id is None:
            if turn.parent_id is not None:
                raise NotFound()
            return await self._start(turn, new_id())
        return await self._continue(turn, turn.conversation_id)

    async def finish_turn(self, turn: FinishedTurn) -> None:
        """Write the answer and its usage down and release the conversation; safe to repeat.

        Usage is recorded even where the conversation has been deleted meanwhile.
        """
        async with driver_connection(self._engine) as connection:
            await connection.execute(
                turn_sql.FINISH,
                turn.message_id,
                turn.conversation_id,
                clean_text(turn.content),
                turn.status,
                turn.model,
                turn.provider,
                turn.finish_reason,
                turn.usage.prompt_tokens,
                turn.usage.completion_tokens,
                turn.cost_usd,
                _json(turn.receipt),
                _json(turn.tool_calls),
                _json(turn.error),
                *_usage_arguments(turn.owner, turn.calls),
            )

    async def record_usage(self, owner: UsageOwner, calls: Sequence[UsageEntry]) -> None:
        """Record the calls of a request that no conversation keeps; safe to repeat."""
        if not calls:
            return
        async with driver_connection(self._engine) as connection:
            await connection.execute(turn_sql.RECORD_USAGE, *_usage_arguments(owner, calls))

    async def release_expired(self) -> int:
        """Free the conversations whose turn's process died; its answer becomes `interrupted`. How many."""
        async with driver_connection(self._engine) as connection:
            return int(await connection.fetchval(turn_sql.RELEASE_EXPIRED))

    async def _start(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        title = clean_text(turn.title)
        system = None if turn.system is None else clean_text(turn.system)
        async with driver_connection(self._engine) as connection:
            try:
                created_at = await connection.fetchval(
                    turn_sql.START, *_common(turn, conversation_id), title, turn.model, system
                )
            except asyncpg.ForeignKeyViolationError:
                raise NotFound("The account does not exist any more.") from None
        return OpenedTurn(conversation_id, title, turn.model, system, None, 1, created_at)

    async def _continue(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        arguments = (*_common(turn, conversation_id), clean_text(turn.title), turn.parent_id)
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(turn_sql.CONTINUE, *arguments, turn.history_limit)
            if row is None:
                raise NotFound()
            if row["busy"]:
                raise TurnInProgress()
            if not row["opened"]:
                raise NotFound()
            branch: asyncpg.Record | None = row
            if not row["fresh"]:
                # We waited for another writer: the statement's snapshot, and so the branch it read, is
                # older than the conversation it locked.
                branch = await connection.fetchrow(
                    turn_sql.BRANCH, conversation_id, row["parent_id"], turn.history_limit
                )
        assert branch is not None
        return OpenedTurn(
            conversation_id,
            row["title"],
            row["model"],
            row["system"],
            row["parent_id"],
            row["lock_token"],
            row["created_at"],
            readable_history(branch["roles"] or (), branch["contents"] or ()),
        )


def _common(turn: NewTurn, conversation_id: UUID) -> tuple[Any, ...]:
    return (
        conversation_id,
        turn.user_id,
        turn.question_id,
        turn.answer_id,
        clean_text(turn.question),
        dump_json(turn.metadata),
        turn.lease_seconds,
    )


def _json(value: Any) -> str | None:
    return None if value is None else dump_json(value)


def _usage_arguments(owner: UsageOwner, calls: Sequence[UsageEntry]) -> tuple[Any, ...]:
    return (
        owner.user_id,
        owner.api_key_id,
        owner.request_id,
        owner.message_id,
        [call.id for call in calls],
        [call.created_at for call in calls],
        [call.kind for call in calls],
        [call.model for call in calls],
        [call.provider for call in calls],
        [call.usage.prompt_tokens for call in calls],
        [call.usage.completion_tokens for call in calls],
        [call.cost_usd for call in calls],
        [call.outcome for call in calls],
        [call.latency_ms for call in calls],
    )
