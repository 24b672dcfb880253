"""Hot path: opening and closing a persisted turn is one statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import clean_text, driver_connection, dump_json
from gateway.core.exceptions import NotFound, TurnInProgress
from gateway.core.ids import new_id
from gateway.domain.usage.budgets import LEASE_SECONDS, BudgetState, Reservation, ReservationRefused
from gateway.domain.usage.turn_records import (
    CloseResult,
    ConversationLease,
    ExistingQuestion,
    FinishedTurn,
    NewTurn,
    OpenedTurn,
    UsageEntry,
    UsageOwner,
)
from gateway.repositories.turns import budget_statements, statements
from gateway.repositories.turns.arguments import (
    opening_arguments,
    optional_json,
    question_bytes,
    reservation_arguments,
    storage_limit,
    usage_arguments,
)
from gateway.repositories.turns.rows import parse_branch, parse_budget, parse_granted_budget, parse_question

_ACCOUNT_DELETED = "The account was deleted."
_ZERO = Decimal(0)


class TurnRepository:
    """Opens and closes turns, reserves budgets and records usage.

    It takes connections of its own: a transaction around a single statement would add two round trips. All
    methods raise `Unavailable` if the database cannot be reached.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open_turn(self, turn: NewTurn) -> OpenedTurn:
        """Insert question and pending answer, lock the conversation, reserve the costs.

        The conversation stays locked and the reservation held until `close_turn`, or until the lease expires;
        the answer of a turn whose lease has expired becomes `interrupted`.

        Raises:
            NotFound: no such conversation or parent message, another account's, or the account was deleted.
            TurnInProgress: another turn of the conversation is running.
            ReservationRefused: the reservation exceeds the limits; nothing was written.
        """
        if turn.conversation_id is None:
            if turn.parent_id is not None:
                raise NotFound()
            return await self._open_in_new_conversation(turn, new_id())
        return await self._open_in_conversation(turn, turn.conversation_id)

    async def get_question(self, user_id: UUID, message_id: UUID) -> ExistingQuestion:
        """Return the question with this id, or the question that this answer belongs to.

        Raises:
            NotFound: no such message, or another account's.
        """
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(statements.GET_QUESTION, user_id, message_id)
        if row is None:
            raise NotFound()
        return ExistingQuestion(row["id"], row["conversation_id"], row["parent_id"], parse_question(row))

    async def close_turn(self, turn: FinishedTurn) -> CloseResult:
        """Store answer and usage, unlock the conversation, settle the reservation.

        Safe to repeat. Usage is recorded and charged even if the conversation was deleted meanwhile or the
        turn has lost its lock; an answer that another worker has closed is then left unchanged.
        """
        summary = turn.summary
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                statements.CLOSE_TURN if summary is None else statements.CLOSE_TURN_WITH_SUMMARY,
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
                optional_json(turn.receipt),
                optional_json(turn.tool_calls),
                optional_json(turn.error),
                turn.lock_token,
                turn.events,
                optional_json(turn.details),
                *usage_arguments(turn.owner, turn.calls),
                *(() if summary is None else (summary.message_id, clean_text(summary.text))),
            )
            if row is not None and row["stored"]:
                return CloseResult(True, row["waiting"])
            # Stored by an earlier attempt, deleted, or closed by another worker.
            status = await connection.fetchval(statements.GET_STATUS, turn.message_id, turn.owner.user_id)
        return CloseResult(status is None or status == turn.status)

    async def reserve(self, reservation: Reservation) -> BudgetState:
        """Reserve the costs of a request without a conversation.

        Returns the budget including it.

        Raises:
            ReservationRefused: the reservation exceeds the limits; nothing was written.
            NotFound: the account was deleted.
        """
        async with driver_connection(self._engine) as connection:
            try:
                row = await connection.fetchrow(
                    budget_statements.RESERVE,
                    reservation.user_id,
                    reservation.lease_seconds,
                    *reservation_arguments(reservation.id, reservation),
                    reservation.storage_limit,
                )
            except asyncpg.ForeignKeyViolationError:
                raise NotFound(_ACCOUNT_DELETED) from None
            if row is None:
                raise await _refusal_error(connection, reservation.user_id)
        return parse_granted_budget(row)

    async def extend_reservation(self, reservation: Reservation) -> BudgetState:
        """Increase the reservation with this id; returns the budget with the increase.

        Raises:
            ReservationRefused: the increase exceeds the limits, or the reservation was released. Nothing was
                written.
        """
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                budget_statements.EXTEND_RESERVATION,
                reservation.user_id,
                *reservation_arguments(reservation.id, reservation)[:-1],
            )
            if row is None:
                raise await _refusal_error(connection, reservation.user_id)
        return parse_granted_budget(row)

    async def record_usage(
        self, owner: UsageOwner, calls: Sequence[UsageEntry], reservation_id: UUID | None = None
    ) -> None:
        """Record and charge the calls of a request without a conversation.

        Settle its reservation.

        Safe to repeat.
        """
        if not calls and reservation_id is None:
            return
        async with driver_connection(self._engine) as connection:
            await connection.execute(statements.RECORD_USAGE, reservation_id, *usage_arguments(owner, calls))

    async def renew_leases(
        self, leases: Mapping[UUID, ConversationLease | None], lease_seconds: float = LEASE_SECONDS
    ) -> list[UUID]:
        """Renew the leases of reservations and of locked conversations.

        Returns:
            The answers whose turns have lost their conversations: taken over, or deleted.
        """
        reservations = list(leases)
        held = [(answer_id, *held) for answer_id, held in leases.items() if held is not None]
        answers, conversations, tokens = zip(*held, strict=True) if held else ((), (), ())
        async with driver_connection(self._engine) as connection:
            rows = await connection.fetch(
                statements.RENEW_LEASES, reservations, lease_seconds, answers, conversations, tokens
            )
        return [row["answer_id"] for row in rows]

    async def save_bills(
        self, bills: Mapping[UUID, tuple[UUID, dict[str, Any]]], lease_seconds: float = LEASE_SECONDS
    ) -> None:
        """Store what running turns have cost so far, by turn id, each with its account."""
        accounts, texts = [], []
        for user_id, bill in bills.values():
            accounts.append(user_id)
            texts.append(dump_json(bill))
        async with driver_connection(self._engine) as connection:
            await connection.execute(statements.SAVE_BILLS, list(bills), accounts, texts, lease_seconds)

    async def release_expired(self) -> int:
        """Release expired reservations of dead processes and charge their bills.

        Returns the count.
        """
        async with driver_connection(self._engine) as connection:
            return int(await connection.fetchval(budget_statements.RELEASE_EXPIRED))

    async def _open_in_new_conversation(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        title = clean_text(turn.title)
        system = None if turn.system is None else clean_text(turn.system)
        common, request = opening_arguments(turn, conversation_id), optional_json(turn.request)
        size = question_bytes(common, request)
        stored = size + len((system or "").encode())
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                statements.OPEN_IN_NEW_CONVERSATION,
                *common,
                title,
                turn.model,
                system,
                request,
                size,
                stored,
                storage_limit(turn),
            )
            if row is None:
                raise await _refusal_error(connection, turn.user_id, stored)
        return OpenedTurn(
            conversation_id, title, turn.model, system, None, 1, row["created_at"], parse_granted_budget(row)
        )

    async def _open_in_conversation(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        common, request = opening_arguments(turn, conversation_id), optional_json(turn.request)
        size = 0 if turn.is_regeneration else question_bytes(common, request)
        where = (
            turn.parent_id,
            turn.history_limit,
            turn.as_root,
            turn.is_regeneration,
            request,
            turn.from_queue,
            turn.reservation.history_tokens if turn.reservation is not None else 0,
            turn.reservation.history_price if turn.reservation is not None else _ZERO,
            size,
            storage_limit(turn),
        )
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                statements.OPEN_IN_CONVERSATION, *common, clean_text(turn.title), *where
            )
            if row is None:
                raise NotFound()
            if row["busy"]:
                raise TurnInProgress(message_id=row["running"])
            if not row["opened"]:
                raise NotFound()
            if not row["granted"]:
                raise await _refusal_error(connection, turn.user_id, size)
            branch: asyncpg.Record | None = row
            if not row["fresh"]:
                # The statement waited for another writer, so its snapshot (and the branch it read) is older
                # than the conversation it locked.
                branch = await connection.fetchrow(
                    statements.READ_BRANCH, conversation_id, row["parent_id"], turn.history_limit
                )
        return OpenedTurn(
            conversation_id,
            row["title"],
            row["model"],
            row["system"],
            row["parent_id"],
            row["lock_token"],
            row["created_at"],
            parse_granted_budget(row),
            parse_branch(branch),
            row["untitled"],
        )


async def _refusal_error(connection: asyncpg.Connection, user_id: UUID, stored: int = 0) -> Exception:
    """Determine why nothing was reserved.

    A separate query, because the statement's snapshot is older than the lock it waited for.
    """
    row = await connection.fetchrow(budget_statements.GET_BUDGET, user_id)
    return NotFound(_ACCOUNT_DELETED) if row is None else ReservationRefused(parse_budget(row), stored)
