"""Turns whose process dies are charged once, also if the process was only slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import create_engine
from gateway.core.ids import new_id
from gateway.domain.events import ModelCall
from gateway.domain.money import Price, Usage
from gateway.domain.usage.budgets import Reservation
from gateway.domain.usage.turn_records import UsageOwner
from gateway.repositories.turns.repository import TurnRepository
from gateway.services.usage.turn_bill import TurnBill
from tests.support.database import create_account, fetch_rows
from tests.support.ledger_audit import read_ledger

PRICE = Price(Decimal(1), Decimal(2))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=4)
    yield engine
    await engine.dispose()


@pytest.fixture
def turns(engine: AsyncEngine) -> TurnRepository:
    return TurnRepository(engine)


@pytest.fixture
async def user(engine: AsyncEngine) -> UUID:
    return await create_account(engine)


def bill_of(user: UUID) -> TurnBill:
    return TurnBill(UsageOwner(user, "req-1", request_key=7), "small", "up", 6000, PRICE)


def reservation(user: UUID, bill: TurnBill, *, seconds: float = -1) -> Reservation:
    return Reservation(user, 7024, Decimal("0.01"), lease_seconds=seconds, bill=bill.initial())


async def sweep(turns: TurnRepository) -> None:
    while await turns.release_expired():
        pass


def attempt(prompt: int, completion: int) -> ModelCall:
    usage = Usage(prompt, completion)
    return ModelCall("small", "up", "ok", 12.0, usage, PRICE.cost(usage))


async def test_a_dead_workers_turn_is_charged_for_the_prompt_it_sent(engine, turns, user) -> None:
    await turns.reserve(reservation(user, bill_of(user)))
    await sweep(turns)
    found = (await read_ledger(engine, user)).assert_consistent()
    assert (found.tokens_used, found.tokens_reserved, found.leases) == (6000, 0, 0)
    assert found.usd_used == Decimal("0.006")
    (row,) = await fetch_rows(engine, "SELECT * FROM usage_records WHERE user_id = :u", u=user)
    assert (row["outcome"], row["request_id"], row["model"]) == ("interrupted", "req-1", "small")


async def test_completed_rounds_and_the_partial_text_are_charged(engine, turns, user) -> None:
    bill, made = bill_of(user), replace(reservation(user, bill_of(user)), lease_seconds=60)
    await turns.reserve(made)
    noted = bill.current([attempt(500, 20)], lambda: "word" * 60)
    await turns.save_bills({made.id: (user, noted)}, -1)
    await sweep(turns)
    assert (await read_ledger(engine, user)).assert_consistent().tokens_used == 520 + 6000 + 40
    outcomes = await fetch_rows(
        engine, "SELECT outcome FROM usage_records WHERE user_id = :u ORDER BY outcome", u=user
    )
    assert [row["outcome"] for row in outcomes] == ["interrupted", "ok"]


async def test_a_slow_worker_does_not_charge_twice(engine, turns, user) -> None:
    bill = bill_of(user)
    made = reservation(user, bill)
    await turns.reserve(made)
    await sweep(turns)
    await turns.record_usage(bill.owner, bill.entries([attempt(6100, 30)], None, ()), made.id)
    assert (await read_ledger(engine, user)).assert_consistent().tokens_used == 6000


async def test_an_unlimited_turn_is_charged_once_its_bill_is_stored(engine, turns, user) -> None:
    bill = bill_of(user)
    await turns.record_usage(bill.owner, [], new_id())  # an account gets a budget row with its first turn
    await turns.save_bills({new_id(): (user, bill.initial())}, -1)
    await sweep(turns)
    assert (await read_ledger(engine, user)).assert_consistent().tokens_used == 6000


async def test_a_bill_of_a_deleted_account_has_no_owner(engine, turns, user) -> None:
    await turns.reserve(reservation(user, bill_of(user)))
    await fetch_rows(engine, "DELETE FROM users WHERE id = :u RETURNING 1", u=user)
    await turns.save_bills({new_id(): (user, bill_of(user).initial())}, -1)
    await sweep(turns)
    assert (await read_ledger(engine, user)).leases == 0
