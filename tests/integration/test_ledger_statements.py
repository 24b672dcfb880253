"""The ledger's statements: their number, idempotency, races and rollover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import create_engine
from gateway.core.exceptions import NotFound
from gateway.core.ids import new_id
from gateway.domain.money import Usage
from gateway.domain.usage.budgets import Reservation, ReservationRefused
from gateway.domain.usage.turn_records import UsageOwner
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.turns.running import RunningTurnRepository
from tests.support.database import begin_turn, create_account, fetch_rows, finish_turn, usage_entry
from tests.support.gateway import running_gateway
from tests.support.ledger_audit import read_ledger
from tests.support.sql_statements import recorded_statements
from tests.support.upstreams.openai_server import OpenAIUpstream
from tests.support.valkey_commands import recorded_commands

pytestmark = pytest.mark.usefixtures("patient_engines")


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
def turns(engine: AsyncEngine) -> TurnRepository:
    return TurnRepository(engine)


@pytest.fixture
async def user(engine: AsyncEngine) -> UUID:
    return await create_account(engine)


def make_reservation(user: UUID, tokens: int = 10, usd: str = "0.1", **fields: Any) -> Reservation:
    return Reservation(user, tokens, Decimal(usd), **fields)


def call(tokens: int = 7, usd: str = "0.07") -> Any:
    return usage_entry(usage=Usage(tokens, 0), cost_usd=Decimal(usd))


async def settle(turns: TurnRepository, made: Reservation, *calls: Any) -> None:
    await turns.record_usage(UsageOwner(made.user_id, "req"), calls, made.id)


async def test_a_turn_costs_two_statements_and_its_caller_one_round_trip(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a slow machine, the next maintenance runs would be counted too.
    monkeypatch.setattr("gateway.services.operations.maintenance.INTERVAL_SECONDS", 3600)
    monkeypatch.setattr("gateway.services.accounts.revocation.POLL_SECONDS", 3600)
    async with OpenAIUpstream() as up:
        config: dict[str, Any] = {
            "providers": {"up": {"type": "openai", "base_url": up.url}},
            "models": {"small": {"provider": "up", "model": "v", "price": {"input": 1, "output": 2}}},
            "tiers": {"free": {"requests_per_minute": 100, "tokens_per_day": 10**6, "usd_per_month": 9}},
        }
        async with running_gateway(database_url, redis_url, tmp_path, config) as gateway:
            person = await gateway.sign_up()
            key = {"x-api-key": await gateway.create_api_key(person)}
            completion = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
            conversation: dict[str, Any] = {}

            async def ask_v1() -> None:
                answer = await gateway.http.post("/v1/chat/completions", json=completion, headers=key)
                assert answer.status_code == 200

            async def ask() -> None:
                body = {"message": "Hi", **conversation}
                answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
                conversation["conversation_id"] = answer.json()["conversation_id"]

            # Warm: the caller is cached, and the key's use is already recorded for this minute.
            await ask_v1()
            await ask()
            await gateway.container.accounts.authenticator.aclose()
            received = {
                "v1": (ask_v1, "budgets"),
                "first": (ask, "INTO messages"),
                "later": (ask, "FOR UPDATE"),
            }
            for name, (turn, opening) in received.items():
                if name == "first":
                    conversation.clear()
                with (
                    recorded_statements(monkeypatch, of_requests=True) as sent,
                    recorded_commands(monkeypatch, of_requests=True) as commands,
                ):
                    await turn()
                assert len(sent) == 2, name
                assert opening in sent[0]
                assert "budgets" in sent[0]
                assert "usage_records" in sent[1]
                assert "INSERT INTO budgets" in sent[1]
                assert commands == ["EVALSHA"], name


async def test_reserved_and_used_amounts_match_the_rows(engine, turns, user) -> None:
    made = make_reservation(user, lease_seconds=30)
    state = await turns.reserve(made)
    assert (state.tokens_used, state.tokens_reserved, state.usd_reserved) == (0, 10, Decimal("0.1"))
    (await read_ledger(engine, user)).assert_consistent()
    await settle(turns, made, call(), call(2, "0.0000000001"))
    found = (await read_ledger(engine, user)).assert_consistent()
    assert (found.tokens_used, found.usd_used) == (9, Decimal("0.0700000001"))
    assert found.tokens_reserved == 0


async def test_settling_twice_charges_and_releases_once(engine, turns, user) -> None:
    first, second = make_reservation(user), make_reservation(user)
    await turns.reserve(first)
    await turns.reserve(second)
    calls = (call(),)
    await asyncio.gather(*(settle(turns, first, *calls) for _ in range(8)))
    found = (await read_ledger(engine, user)).assert_consistent()
    assert (found.tokens_used, found.tokens_reserved) == (7, 10)


async def test_closing_a_turn_twice_charges_once(engine, turns, user) -> None:
    begun = await begin_turn(turns, user, "q", reservation=make_reservation(user))
    assert (await read_ledger(engine, user)).assert_consistent().tokens_reserved == 10
    turn = await finish_turn(turns, begun, "a", calls=[call()])
    await asyncio.gather(*(turns.close_turn(turn) for _ in range(8)))
    found = (await read_ledger(engine, user)).assert_consistent()
    assert (found.tokens_used, found.tokens_reserved) == (7, 0)


async def test_a_settlement_after_expiry_still_charges(engine, turns, user) -> None:
    made = make_reservation(user, lease_seconds=-1)
    await turns.reserve(made)
    assert await turns.release_expired() >= 1
    assert (await read_ledger(engine, user)).assert_consistent().tokens_reserved == 0
    await settle(turns, made, call())
    found = (await read_ledger(engine, user)).assert_consistent()
    assert (found.tokens_used, found.tokens_reserved) == (7, 0)


async def test_a_dead_processs_reservation_is_released_once_by_concurrent_sweeps(engine, turns, user) -> None:
    others = [await create_account(engine) for _ in range(5)]
    for account in (user, *others):
        for seconds in (-1, -1, 60):
            await turns.reserve(make_reservation(account, lease_seconds=seconds))
    async with asyncio.timeout(30):
        while (await asyncio.gather(*(turns.release_expired() for _ in range(6)))) != [0] * 6:
            pass
    for account in (user, *others):
        assert (await read_ledger(engine, account)).assert_consistent().tokens_reserved == 10


async def test_a_dead_processs_turn_is_interrupted_and_its_reservation_released(engine, turns, user) -> None:
    begun = await begin_turn(turns, user, "q", reservation=make_reservation(user), lease_seconds=-1)
    await RunningTurnRepository(engine).release_expired()
    await turns.release_expired()
    assert (await read_ledger(engine, user)).assert_consistent().tokens_reserved == 0
    (row,) = await fetch_rows(engine, "SELECT status FROM messages WHERE id = :id", id=begun.answer_id)
    assert row["status"] == "interrupted"


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        ({"tokens_per_day": 20}, 2),
        ({"tokens_per_day": 19}, 1),
        ({"tokens_per_day": 9}, 0),
        ({"usd_per_month": Decimal("0.3")}, 3),
        ({"usd_per_month": Decimal("0.2999999999")}, 2),
        ({"usd_per_month": Decimal("0.01")}, 0),
        ({"tokens_per_day": 40, "usd_per_month": Decimal("0.1")}, 1),
        ({"tokens_per_day": 10, "usd_per_month": Decimal("0.4")}, 1),
        ({}, 4),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_reservation_fits_or_changes_nothing(engine, turns, user, limits, fits, at_once) -> None:
    asked = [turns.reserve(make_reservation(user, **limits)) for _ in range(4)]
    if at_once:
        results = await asyncio.gather(*asked, return_exceptions=True)
    else:
        results = [(await asyncio.gather(one, return_exceptions=True))[0] for one in asked]
    refused = [result for result in results if isinstance(result, ReservationRefused)]
    assert len(refused) == 4 - fits
    found = (await read_ledger(engine, user)).assert_consistent()
    assert (found.leases, found.tokens_reserved) == (fits, 10 * fits)


async def test_a_new_day_and_month_reset_usage_but_not_reservations(engine, turns, user) -> None:
    limits = {"tokens_per_day": 30, "usd_per_month": Decimal("0.3")}
    first, running = make_reservation(user, **limits), make_reservation(user, **limits)
    await turns.reserve(first)
    await turns.reserve(running)
    await settle(turns, first, call(20, "0.2"))
    with pytest.raises(ReservationRefused):
        await turns.reserve(make_reservation(user, **limits))
    await fetch_rows(engine, "UPDATE budgets SET day = day - 1 WHERE user_id = :u RETURNING 1", u=user)
    with pytest.raises(ReservationRefused) as refusal:  # a new day, the same month
        await turns.reserve(make_reservation(user, **limits))
    assert refusal.value.state.tokens_used == 0
    assert refusal.value.state.usd_used == Decimal("0.2")
    await fetch_rows(
        engine, "UPDATE budgets SET month = month - interval '1 month' WHERE user_id = :u RETURNING 1", u=user
    )
    state = await turns.reserve(make_reservation(user, **limits))
    assert (state.tokens_used, state.tokens_reserved) == (0, 20)
    assert (state.usd_used, state.usd_reserved) == (0, Decimal("0.2"))
    # A turn from before midnight is charged to the day on which it ends.
    await settle(turns, running, call(5, "0.05"))
    (row,) = await fetch_rows(engine, "SELECT * FROM budgets WHERE user_id = :u", u=user)
    assert (row["tokens_used"], row["tokens_reserved"]) == (5, 10)
    assert (row["usd_used"], row["usd_reserved"]) == (Decimal("0.05"), Decimal("0.1"))


async def test_a_settlement_may_be_the_first_statement_of_a_new_day(engine, turns, user) -> None:
    made = make_reservation(user)
    await turns.reserve(made)
    await settle(turns, made, call(100, "1"))
    late = make_reservation(user)
    await turns.reserve(late)
    await fetch_rows(
        engine,
        "UPDATE budgets SET day = day - 1, month = month - interval '1 month' WHERE user_id = :u RETURNING 1",
        u=user,
    )
    await settle(turns, late, call(5, "0.05"))
    (row,) = await fetch_rows(
        engine, "SELECT *, (now() AT TIME ZONE 'UTC')::date AS today FROM budgets WHERE user_id = :u", u=user
    )
    assert (row["day"], row["month"]) == (row["today"], row["today"].replace(day=1))
    assert (row["tokens_used"], row["usd_used"]) == (5, Decimal("0.05"))
    assert row["tokens_reserved"] == 0


async def test_a_statement_that_waited_past_midnight_does_not_restore_yesterday(engine, turns, user) -> None:
    made = make_reservation(user)
    await turns.reserve(made)
    await settle(turns, made, call(100, "1"))
    # For the following statement, the row is from tomorrow.
    await fetch_rows(
        engine,
        "UPDATE budgets SET day = day + 1, month = month + interval '1 month' WHERE user_id = :u RETURNING 1",
        u=user,
    )
    (before,) = await fetch_rows(engine, "SELECT day, month FROM budgets WHERE user_id = :u", u=user)
    late = make_reservation(user)
    state = await turns.reserve(late)
    assert (state.tokens_used, state.usd_used) == (100, 1)
    await settle(turns, late, call(5, "0.05"))
    (after,) = await fetch_rows(engine, "SELECT * FROM budgets WHERE user_id = :u", u=user)
    assert (after["day"], after["month"]) == (before["day"], before["month"])
    assert (after["tokens_used"], after["usd_used"]) == (105, Decimal("1.05"))


async def test_a_deleted_account_reserves_nothing(engine, turns, user) -> None:
    await fetch_rows(engine, "DELETE FROM users WHERE id = :u RETURNING 1", u=user)
    with pytest.raises(NotFound):
        await turns.reserve(make_reservation(user))
    with pytest.raises(NotFound):
        await begin_turn(turns, user, "q", reservation=make_reservation(user))


async def test_another_accounts_reservation_cannot_be_released(engine, turns, user) -> None:
    mine = make_reservation(user)
    await turns.reserve(mine)
    await settle(turns, replace(mine, user_id=await create_account(engine)))
    assert (await read_ledger(engine, user)).assert_consistent().tokens_reserved == 10


async def test_a_busy_or_foreign_conversation_reserves_nothing(engine, turns, user) -> None:
    begun = await begin_turn(turns, user, "q", reservation=make_reservation(user))
    other = await create_account(engine)
    for account, parent in ((user, None), (other, None), (user, new_id())):
        if parent is not None:
            await finish_turn(turns, begun, "a")
        with pytest.raises(Exception, match=r"still running|does not exist"):
            await begin_turn(
                turns,
                account,
                "q2",
                conversation_id=begun.conversation_id,
                parent_id=parent,
                reservation=make_reservation(account),
            )
    assert (await read_ledger(engine, user)).assert_consistent().tokens_reserved == 0
    assert (await read_ledger(engine, other)).assert_consistent().leases == 0


async def test_deleting_accounts_in_use_causes_no_deadlock(engine, turns) -> None:
    async def live(account: UUID) -> None:
        last = None
        for number in range(10):
            try:
                if number % 2:
                    made = make_reservation(account, tokens_per_day=10**6)
                    await turns.reserve(made)
                    await settle(turns, made, call())
                else:
                    last = await begin_turn(
                        turns,
                        account,
                        "q",
                        conversation_id=last.conversation_id if last else None,
                        reservation=make_reservation(account),
                        lease_seconds=0,
                    )
                    await finish_turn(turns, last, "a", calls=[call()])
            except NotFound:
                return

    async def end(account: UUID, after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
            await turns.release_expired()
            await RunningTurnRepository(engine).release_expired()
        await fetch_rows(engine, "DELETE FROM users WHERE id = :u RETURNING 1", u=account)

    accounts = [await create_account(engine) for _ in range(6)]
    # A deadlock would fail one of these after a second.
    await asyncio.gather(
        *(live(account) for account in accounts for _ in range(3)),
        *(end(account, after) for after, account in enumerate(accounts)),
    )
    for account in accounts:
        assert (await read_ledger(engine, account)).leases == 0
