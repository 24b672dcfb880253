"""Hot path: opening and closing a persisted turn is one statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import clean_text, driver_connection, dump_json
from gateway.core.exceptions import NotFound, TurnInProgress
from gateway.core.ids import new_id
from gateway.domain.conversations.stored_messages import calls_from_storage, from_storage, vendor_from_storage
from gateway.domain.messages import Message
from gateway.domain.usage.budgets import LEASE_SECONDS, BudgetState, Reservation, ReservationRefused
from gateway.domain.usage.turn_records import (
    Branch,
    CloseResult,
    ConversationLease,
    ExistingQuestion,
    FinishedTurn,
    NewTurn,
    OpenedTurn,
    StoredParts,
    UsageEntry,
    UsageOwner,
    build_branch,
)
from gateway.repositories.turns import budget_statements
from gateway.repositories.turns import statements as turn_sql

_ACCOUNT_DELETED = "The account does not exist any more."
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
            OverBudget: the reservation exceeds the limits; nothing was written.
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
            row = await connection.fetchrow(turn_sql.GET_QUESTION, user_id, message_id)
        if row is None:
            raise NotFound()
        return ExistingQuestion(row["id"], row["conversation_id"], row["parent_id"], _question_messages(row))

    async def close_turn(self, turn: FinishedTurn) -> CloseResult:
        """Store answer and usage, unlock the conversation, settle the reservation.

        Safe to repeat. Usage is recorded and charged even if the conversation was deleted meanwhile or the
        turn has lost its lock; an answer that another worker has closed is then left unchanged.
        """
        summary = turn.summary
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                turn_sql.CLOSE_TURN if summary is None else turn_sql.CLOSE_TURN_WITH_SUMMARY,
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
                turn.lock_token,
                turn.events,
                _json(turn.details),
                *_usage_arguments(turn.owner, turn.calls),
                *(() if summary is None else (summary.message_id, clean_text(summary.text))),
            )
            if row is not None and row["stored"]:
                return CloseResult(True, row["waiting"])
            # Stored by an earlier attempt, deleted, or closed by another worker.
            status = await connection.fetchval(turn_sql.GET_STATUS, turn.message_id, turn.owner.user_id)
        return CloseResult(status is None or status == turn.status)

    async def reserve(self, reservation: Reservation) -> BudgetState:
        """Reserve the costs of a request without a conversation.

        Returns the budget including it.

        Raises:
            OverBudget: the reservation exceeds the limits; nothing was written.
            NotFound: the account was deleted.
        """
        async with driver_connection(self._engine) as connection:
            try:
                row = await connection.fetchrow(
                    budget_statements.RESERVE,
                    reservation.user_id,
                    reservation.lease_seconds,
                    *_reservation_arguments(reservation.id, reservation),
                    reservation.storage_limit,
                )
            except asyncpg.ForeignKeyViolationError:
                raise NotFound(_ACCOUNT_DELETED) from None
            if row is None:
                raise await _refusal_error(connection, reservation.user_id)
        return _granted_budget(row)

    async def extend_reservation(self, reservation: Reservation) -> BudgetState:
        """Increase the reservation with this id; returns the budget with the increase.

        Raises:
            OverBudget: the increase exceeds the limits, or the reservation was released; nothing was written.
        """
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                budget_statements.EXTEND_RESERVATION,
                reservation.user_id,
                *_reservation_arguments(reservation.id, reservation)[:-1],
            )
            if row is None:
                raise await _refusal_error(connection, reservation.user_id)
        return _granted_budget(row)

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
            await connection.execute(turn_sql.RECORD_USAGE, reservation_id, *_usage_arguments(owner, calls))

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
                turn_sql.RENEW_LEASES, reservations, lease_seconds, answers, conversations, tokens
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
            await connection.execute(turn_sql.SAVE_BILLS, list(bills), accounts, texts, lease_seconds)

    async def release_expired(self) -> int:
        """Release expired reservations of dead processes and charge their bills.

        Returns the count.
        """
        async with driver_connection(self._engine) as connection:
            return int(await connection.fetchval(budget_statements.RELEASE_EXPIRED))

    async def _open_in_new_conversation(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        title = clean_text(turn.title)
        system = None if turn.system is None else clean_text(turn.system)
        common, request = _common_arguments(turn, conversation_id), _json(turn.request)
        size = _question_bytes(common, request)
        stored = size + len((system or "").encode())
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                turn_sql.OPEN_IN_NEW_CONVERSATION,
                *common,
                title,
                turn.model,
                system,
                request,
                size,
                stored,
                _storage_limit(turn),
            )
            if row is None:
                raise await _refusal_error(connection, turn.user_id, stored)
        return OpenedTurn(
            conversation_id, title, turn.model, system, None, 1, row["created_at"], _granted_budget(row)
        )

    async def _open_in_conversation(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        common, request = _common_arguments(turn, conversation_id), _json(turn.request)
        size = 0 if turn.is_regeneration else _question_bytes(common, request)
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
            _storage_limit(turn),
        )
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                turn_sql.OPEN_IN_CONVERSATION, *common, clean_text(turn.title), *where
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
                    turn_sql.READ_BRANCH, conversation_id, row["parent_id"], turn.history_limit
                )
        return OpenedTurn(
            conversation_id,
            row["title"],
            row["model"],
            row["system"],
            row["parent_id"],
            row["lock_token"],
            row["created_at"],
            _granted_budget(row),
            _branch(branch),
            row["untitled"],
        )


async def _refusal_error(connection: asyncpg.Connection, user_id: UUID, stored: int = 0) -> Exception:
    """Determine why nothing was reserved.

    A separate query, because the statement's snapshot is older than the lock it waited for.
    """
    row = await connection.fetchrow(budget_statements.GET_BUDGET, user_id)
    return NotFound(_ACCOUNT_DELETED) if row is None else ReservationRefused(_budget(row), stored)


def _stored_parts(calls: list[dict[str, Any]]) -> StoredParts:
    return StoredParts(tool_calls=calls_from_storage(calls), vendor=vendor_from_storage(calls))


def _branch(row: asyncpg.Record | None) -> Branch:
    if row is None or row["ids"] is None:
        return Branch()
    beside = {
        at: StoredParts(messages=from_storage(orjson.loads(text)))
        if row["roles"][at] == "user"
        else _stored_parts(orjson.loads(text))
        for at, text in enumerate(row["extras"])
        if text is not None
    }
    return build_branch(row["ids"], row["roles"], row["contents"], row["summary"], beside)


def _question_messages(row: asyncpg.Record) -> tuple[Message, ...]:
    if row["messages"] is None:
        return (Message("user", row["content"]),)
    return from_storage(orjson.loads(row["messages"]))


def _budget(row: asyncpg.Record) -> BudgetState:
    return BudgetState(
        row["tokens_used"],
        row["tokens_reserved"],
        row["usd_used"],
        row["usd_reserved"],
        row["stored_bytes"],
    )


def _granted_budget(row: asyncpg.Record) -> BudgetState:
    return replace(
        _budget(row),
        granted_tokens=row["granted_tokens"],
        granted_usd=row["granted_usd"],
        spare_tokens=row["spare_tokens"],
    )


def _common_arguments(turn: NewTurn, conversation_id: UUID) -> tuple[Any, ...]:
    return (
        conversation_id,
        turn.user_id,
        turn.question_id,
        turn.answer_id,
        clean_text(turn.question),
        dump_json(turn.metadata),
        turn.lease_seconds,
        *_reservation_arguments(turn.answer_id, turn.reservation),
    )


def _question_bytes(common: tuple[Any, ...], request: str | None) -> int:
    """Return the stored size of a question: text, metadata and request data."""
    text, metadata = common[4], common[5]
    return len(text.encode()) + len(metadata) + len(request or "")


def _storage_limit(turn: NewTurn) -> int | None:
    return None if turn.reservation is None else turn.reservation.storage_limit


def _reservation_arguments(id_: UUID, reservation: Reservation | None) -> tuple[Any, ...]:
    if reservation is None:
        return (id_, 0, _ZERO, None, None, 0, _ZERO, None)
    return (
        id_,
        reservation.tokens,
        reservation.usd,
        reservation.tokens_per_day,
        reservation.usd_per_month,
        reservation.spare_tokens,
        reservation.spare_usd,
        _json(reservation.bill),
    )


def _json(value: Any) -> str | None:
    return None if value is None else dump_json(value)


def _usage_arguments(owner: UsageOwner, calls: Sequence[UsageEntry]) -> tuple[Any, ...]:
    return (
        owner.user_id,
        owner.api_key_id,
        owner.request_id,
        owner.message_id,
        owner.request_key,
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
        [call.usage.cached_tokens for call in calls],
        [call.usage.cache_write_tokens for call in calls],
        [call.usage.reasoning_tokens for call in calls],
        [call.upstream_reply.status if call.upstream_reply is not None else None for call in calls],
        [
            clean_text(call.upstream_reply.reason) or None if call.upstream_reply is not None else None
            for call in calls
        ],
        [call.step for call in calls],
    )
