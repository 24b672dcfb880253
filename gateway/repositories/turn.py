"""The hot path: a persisted turn is two statements, each one a unit of work and a round trip of its own."""

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
from gateway.domain.budget import LEASE_SECONDS, BudgetState, OverBudget, Reservation
from gateway.domain.kept_messages import kept_calls, read_back, stored_vendor
from gateway.domain.ledger import (
    AskedQuestion,
    Branch,
    Finished,
    FinishedTurn,
    Held,
    NewTurn,
    OpenedTurn,
    Said,
    UsageEntry,
    UsageOwner,
    readable,
)
from gateway.domain.messages import Message
from gateway.repositories import budget_sql, turn_sql

_GONE = "The account does not exist any more."
_NOTHING = Decimal(0)


class TurnRepository:
    """Opens and ends turns and records usage.

    It takes connections of its own: a transaction around a single statement would add two round trips.
    All methods raise `Unavailable` where the database cannot be reached.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin_turn(self, turn: NewTurn) -> OpenedTurn:
        """Write the question and a pending answer down, take the conversation, reserve the turn's cost.

        The conversation stays taken and the reservation held until `finish_turn`, or until the lease runs
        out; the answer of a turn whose lease has run out becomes `interrupted`.

        Raises:
            NotFound: no such conversation or parent message, or another owner's; or the account has gone.
            TurnInProgress: the conversation is being answered.
            OverBudget: what would be reserved is more than is left; nothing was written.
        """
        if turn.conversation_id is None:
            if turn.parent_id is not None:
                raise NotFound()
            return await self._start(turn, new_id())
        return await self._continue(turn, turn.conversation_id)

    async def asked(self, user_id: UUID, message_id: UUID) -> AskedQuestion:
        """The question that the message is, or that it answers.

        Raises:
            NotFound: no such message, or another owner's.
        """
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(turn_sql.ASKED, user_id, message_id)
        if row is None:
            raise NotFound()
        return AskedQuestion(row["id"], row["conversation_id"], row["parent_id"], _asked(row))

    async def finish_turn(self, turn: FinishedTurn) -> Finished:
        """Write the answer and its usage down, release the conversation, settle the reservation.

        Safe to repeat. Usage is recorded and charged even where the conversation has been deleted meanwhile,
        or the turn has lost it: then an answer that others have ended stays as they left it.
        """
        summary = turn.summary
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                turn_sql.FINISH if summary is None else turn_sql.FINISH_AND_SUMMARISE,
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
            if row is not None and row["stands"]:
                return Finished(True, row["waiting"])
            # Written by an earlier try, deleted, or ended by whoever took it over.
            status = await connection.fetchval(turn_sql.STATUS, turn.message_id, turn.owner.user_id)
        return Finished(status is None or status == turn.status)

    async def reserve(self, reservation: Reservation) -> BudgetState:
        """Reserve what a request that no conversation keeps may cost; the state with it.

        Raises:
            OverBudget: it is more than is left; nothing was written. NotFound: the account has gone.
        """
        async with driver_connection(self._engine) as connection:
            try:
                row = await connection.fetchrow(
                    budget_sql.RESERVE,
                    reservation.user_id,
                    reservation.lease_seconds,
                    *_reservation_arguments(reservation.id, reservation),
                    reservation.most_stored,
                )
            except asyncpg.ForeignKeyViolationError:
                raise NotFound(_GONE) from None
            if row is None:
                raise await _refusal(connection, reservation.user_id)
        return _granted(row)

    async def extend(self, reservation: Reservation) -> BudgetState:
        """Add to the reservation of this id; the state with what was added.

        Raises:
            OverBudget: it is more than is left, or the reservation has been given back; nothing was written.
        """
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                budget_sql.EXTEND,
                reservation.user_id,
                *_reservation_arguments(reservation.id, reservation)[:-1],
            )
            if row is None:
                raise await _refusal(connection, reservation.user_id)
        return _granted(row)

    async def record_usage(
        self, owner: UsageOwner, calls: Sequence[UsageEntry], reservation_id: UUID | None = None
    ) -> None:
        """Record and charge the calls of a request that no conversation keeps, and settle its reservation.

        Safe to repeat.
        """
        if not calls and reservation_id is None:
            return
        async with driver_connection(self._engine) as connection:
            await connection.execute(turn_sql.RECORD_USAGE, reservation_id, *_usage_arguments(owner, calls))

    async def renew(
        self, leases: Mapping[UUID, Held | None], lease_seconds: float = LEASE_SECONDS
    ) -> list[UUID]:
        """Keep the reservations, and the conversations that persisted turns hold, for another lease from now.

        Returns:
            The answers whose turns hold their conversations no more: taken over, or deleted.
        """
        reservations = list(leases)
        held = [(answer_id, *held) for answer_id, held in leases.items() if held is not None]
        answers, conversations, tokens = zip(*held, strict=True) if held else ((), (), ())
        async with driver_connection(self._engine) as connection:
            rows = await connection.fetch(
                turn_sql.RENEW, reservations, lease_seconds, answers, conversations, tokens
            )
        return [row["answer_id"] for row in rows]

    async def note_bills(
        self, bills: Mapping[UUID, tuple[UUID, dict[str, Any]]], lease_seconds: float = LEASE_SECONDS
    ) -> None:
        """Keep what running turns have cost so far, by their ids, each with its account."""
        accounts, texts = [], []
        for user_id, bill in bills.values():
            accounts.append(user_id)
            texts.append(dump_json(bill))
        async with driver_connection(self._engine) as connection:
            await connection.execute(turn_sql.NOTE_BILLS, list(bills), accounts, texts, lease_seconds)

    async def return_expired(self) -> int:
        """Give back what calls had reserved whose process died, and charge their bills. How many."""
        async with driver_connection(self._engine) as connection:
            return int(await connection.fetchval(budget_sql.RETURN_EXPIRED))

    async def _start(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        title = clean_text(turn.title)
        system = None if turn.system is None else clean_text(turn.system)
        common, request = _common(turn, conversation_id), _json(turn.request)
        size = _question_bytes(common, request)
        stored = size + len((system or "").encode())
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(
                turn_sql.START,
                *common,
                title,
                turn.model,
                system,
                request,
                size,
                stored,
                _most_stored(turn),
            )
            if row is None:
                raise await _refusal(connection, turn.user_id, stored)
        return OpenedTurn(
            conversation_id, title, turn.model, system, None, 1, row["created_at"], _granted(row)
        )

    async def _continue(self, turn: NewTurn, conversation_id: UUID) -> OpenedTurn:
        common, request = _common(turn, conversation_id), _json(turn.request)
        size = 0 if turn.asked else _question_bytes(common, request)
        where = (
            turn.parent_id,
            turn.history_limit,
            turn.rooted,
            turn.asked,
            request,
            turn.waited,
            turn.reservation.history_tokens if turn.reservation is not None else 0,
            turn.reservation.history_price if turn.reservation is not None else _NOTHING,
            size,
            _most_stored(turn),
        )
        async with driver_connection(self._engine) as connection:
            row = await connection.fetchrow(turn_sql.CONTINUE, *common, clean_text(turn.title), *where)
            if row is None:
                raise NotFound()
            if row["busy"]:
                raise TurnInProgress(message_id=row["running"])
            if not row["opened"]:
                raise NotFound()
            if not row["granted"]:
                raise await _refusal(connection, turn.user_id, size)
            branch: asyncpg.Record | None = row
            if not row["fresh"]:
                # We waited for another writer: the statement's snapshot, and so the branch it read, is
                # older than the conversation it locked.
                branch = await connection.fetchrow(
                    turn_sql.BRANCH, conversation_id, row["parent_id"], turn.history_limit
                )
        return OpenedTurn(
            conversation_id,
            row["title"],
            row["model"],
            row["system"],
            row["parent_id"],
            row["lock_token"],
            row["created_at"],
            _granted(row),
            _branch(branch),
            row["untitled"],
        )


async def _refusal(connection: asyncpg.Connection, user_id: UUID, stored: int = 0) -> Exception:
    """Why nothing was reserved, in a look of its own: what was seen before the lock was waited for is old."""
    row = await connection.fetchrow(budget_sql.STATE, user_id)
    return NotFound(_GONE) if row is None else OverBudget(_budget(row), stored)


def _said(calls: list[dict[str, Any]]) -> Said:
    return Said(calls=kept_calls(calls), vendor=stored_vendor(calls))


def _branch(row: asyncpg.Record | None) -> Branch:
    if row is None or row["ids"] is None:
        return Branch()
    beside = {
        at: Said(messages=read_back(orjson.loads(text)))
        if row["roles"][at] == "user"
        else _said(orjson.loads(text))
        for at, text in enumerate(row["beside"])
        if text is not None
    }
    return readable(row["ids"], row["roles"], row["contents"], row["summary"], beside)


def _asked(row: asyncpg.Record) -> tuple[Message, ...]:
    if row["messages"] is None:
        return (Message("user", row["content"]),)
    return read_back(orjson.loads(row["messages"]))


def _budget(row: asyncpg.Record) -> BudgetState:
    return BudgetState(
        row["tokens_used"],
        row["tokens_reserved"],
        row["usd_used"],
        row["usd_reserved"],
        row["stored_bytes"],
    )


def _granted(row: asyncpg.Record) -> BudgetState:
    return replace(
        _budget(row),
        granted_tokens=row["granted_tokens"],
        granted_usd=row["granted_usd"],
        spare_tokens=row["spare_tokens"],
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
        *_reservation_arguments(turn.answer_id, turn.reservation),
    )


def _question_bytes(common: tuple[Any, ...], request: str | None) -> int:
    """What a question takes in the database: its text, its metadata and what a program asked beyond."""
    text, metadata = common[4], common[5]
    return len(text.encode()) + len(metadata) + len(request or "")


def _most_stored(turn: NewTurn) -> int | None:
    return None if turn.reservation is None else turn.reservation.most_stored


def _reservation_arguments(id_: UUID, reservation: Reservation | None) -> tuple[Any, ...]:
    if reservation is None:
        return (id_, 0, _NOTHING, None, None, 0, _NOTHING, None)
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
        [call.upstream.status if call.upstream is not None else None for call in calls],
        [clean_text(call.upstream.reason) or None if call.upstream is not None else None for call in calls],
        [call.step for call in calls],
    )
