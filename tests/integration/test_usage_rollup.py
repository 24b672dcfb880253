"""Aggregated totals equal the individual records in every zone, with late rows and deleted accounts."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import create_engine, create_session_factory
from gateway.core.ids import new_id
from gateway.domain.usage.reports import DateRange, SlowCall, UsageStats
from gateway.models.usage_record import UsageRecord
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.usage.rollup import RollupJob
from tests.support.database import create_account

# New York's clocks change in it.
FIRST = datetime(2026, 3, 6, 7, 13, tzinfo=UTC)
AFTER = FIRST + timedelta(days=10)
ZONES = ("UTC", "Asia/Seoul", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York")


class Books:
    """Usage records written by hand."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.uow = partial(UnitOfWork, create_session_factory(engine))
        self.roll_up = RollupJob(self.uow)

    async def write(self, *rows: dict[str, Any]) -> None:
        plain = {"kind": "chat", "model": "m", "provider": "p", "prompt_tokens": 1, "completion_tokens": 2}
        plain |= {"outcome": "ok", "latency_ms": 1, "user_id": None, "cost_usd": Decimal("0.25")}
        full = [{**plain, "id": (made := new_id()), "request_id": str(made), **row} for row in rows]
        async with self.engine.begin() as connection:
            await connection.execute(insert(UsageRecord), full)

    async def sql(self, statement: str) -> list[Any]:
        async with self.engine.begin() as connection:
            found = await connection.execute(text(statement))
            return list(found.all()) if found.returns_rows else []

    async def stats(self, start: datetime, end: datetime, tz: str = "UTC") -> UsageStats:
        async with self.uow() as uow:
            await uow.usage_stats.open_snapshot()
            return await uow.usage_stats.get_stats(DateRange(start, end, tz))

    async def slowest(self, start: datetime, end: datetime) -> list[SlowCall]:
        async with self.uow() as uow:
            await uow.usage_stats.open_snapshot()
            return await uow.usage_stats.list_slowest_calls(DateRange(start, end, "UTC"), 20)

    async def forget(self, user_id: UUID) -> None:
        async with self.uow() as uow:
            await uow.usage.anonymize_account(user_id, salt="pepper")
            await uow.users.delete(user_id)

    async def rolled(self) -> None:
        await self.roll_up.catch_up(AFTER)


@pytest.fixture
async def books(clean_database: str) -> AsyncIterator[Books]:
    engine = create_engine(clean_database)
    yield Books(engine)
    await engine.dispose()


async def days_of_trade(books: Books, people: list[UUID]) -> None:
    """600 requests of one to three calls within eight days."""
    dice = random.Random(8)

    def call(number: int, who: UUID | None, at: datetime) -> dict[str, Any]:
        return {
            "created_at": at,
            "user_id": who,
            "request_id": f"r{number}",
            "model": dice.choice(["a", "b"]),
            "kind": dice.choice(["chat", "chat", "tool"]),
            "outcome": dice.choice(["ok", "ok", "cached", "upstream_failed"]),
            "latency_ms": int(dice.lognormvariate(6, 1)),
            "prompt_tokens": dice.randrange(5000),
        }

    rows = []
    for number in range(600):
        begins = FIRST + timedelta(seconds=dice.uniform(0, 8 * 86400))
        who = dice.choice([*people, None])
        steps = range(dice.choice([1, 1, 1, 2, 3]))
        rows += [call(number, who, begins + timedelta(seconds=step * dice.uniform(1, 400))) for step in steps]
    await books.write(*rows)


async def test_totals_are_the_same_before_and_after_aggregation(books: Books) -> None:
    people = [await create_account(books.engine) for _ in range(5)]
    await days_of_trade(books, people)
    ranges = [
        (FIRST - timedelta(days=1), AFTER),
        (FIRST + timedelta(days=1, minutes=7), FIRST + timedelta(days=5, minutes=50)),
        (FIRST + timedelta(minutes=3), FIRST + timedelta(minutes=9)),
    ]
    asked = [(start, end, zone) for start, end in ranges for zone in ZONES]
    from_ledger = [await books.stats(*one) for one in asked]
    await books.rolled()
    [(slots, until)] = await books.sql("SELECT count(*), (SELECT until FROM usage_rolled) FROM usage_slots")
    assert slots > 300
    assert AFTER - timedelta(hours=1) < until <= AFTER - timedelta(minutes=30)
    assert [await books.stats(*one) for one in asked] == from_ledger
    whole = from_ledger[0]
    assert whole.total.requests == 600
    assert sum(day.totals.requests for day in whole.by_day) == 600
    assert sum(day.errors for day in whole.by_day) == whole.errors > 0
    assert whole.active_users == 5
    # The totals are read, not the rows.
    await books.sql("UPDATE usage_slots SET prompt_tokens = prompt_tokens + 1")
    marked = await books.stats(*asked[0])
    assert marked.total.prompt_tokens == whole.total.prompt_tokens + slots


async def test_a_late_row_is_in_the_totals_at_once_and_after_the_next_run(books: Books) -> None:
    noon = FIRST.replace(hour=12, minute=0)
    failed = {"outcome": "upstream_failed", "request_id": "slow"}
    await books.write({"created_at": noon - timedelta(minutes=1), **failed})
    await books.rolled()
    before = await books.stats(noon - timedelta(hours=3), AFTER)
    assert (before.total.requests, before.errors) == (1, 1)
    # Its answer was written late, in the next half hour: it no longer counts as a failure.
    await books.write({"created_at": noon + timedelta(minutes=1), "request_id": "slow"})
    late = await books.stats(noon - timedelta(hours=3), AFTER)
    await books.rolled()
    after = await books.stats(noon - timedelta(hours=3), AFTER)
    assert late == after
    assert (after.total.requests, after.errors, after.total.prompt_tokens) == (1, 0, 2)
    assert await books.sql("SELECT 1 FROM usage_late") == []
    assert [
        tuple(row) for row in await books.sql("SELECT requests, errors FROM usage_slots ORDER BY slot")
    ] == [
        (1, 0),
        (0, 0),
    ]


async def test_aggregating_again_changes_nothing(books: Books) -> None:
    await days_of_trade(books, [await create_account(books.engine)])
    await books.rolled()
    before = await books.sql("SELECT * FROM usage_slots ORDER BY slot, model, provider, kind")
    await books.sql("INSERT INTO usage_late (slot) SELECT DISTINCT slot FROM usage_slots")
    await books.rolled()
    assert await books.sql("SELECT * FROM usage_slots ORDER BY slot, model, provider, kind") == before


async def test_rows_before_the_first_aggregated_one_are_late(books: Books) -> None:
    await books.write({"created_at": FIRST})
    await books.rolled()
    await books.write({"created_at": FIRST - timedelta(days=3)})
    await books.rolled()
    assert (await books.stats(FIRST - timedelta(days=9), AFTER)).total.requests == 2


async def test_a_request_id_reused_later_is_another_request(books: Books) -> None:
    at = (0, 14, 28, 60)
    await books.write(*({"created_at": FIRST + timedelta(minutes=m), "request_id": "mine"} for m in at))
    assert (await books.stats(FIRST, AFTER)).total.requests == 2
    await books.rolled()
    assert (await books.stats(FIRST, AFTER)).total.requests == 2


async def test_a_deleted_account_is_anonymized_without_changing_totals(books: Books) -> None:
    gone, here = await create_account(books.engine), await create_account(books.engine)
    await books.write(*({"created_at": FIRST, "user_id": who} for who in (gone, here)))
    await books.rolled()
    before = await books.stats(FIRST, AFTER)
    await books.forget(gone)
    after = await books.stats(FIRST, AFTER)
    assert (before.active_users, after.active_users) == (2, 1)
    assert after.total == before.total
    assert len(await books.sql("SELECT 1 FROM usage_days")) == 1


async def test_two_workers_do_not_aggregate_concurrently(books: Books) -> None:
    await books.write({"created_at": FIRST})
    async with books.uow() as uow:
        assert await uow.usage_rollup.roll_up_next(AFTER, timedelta(hours=12))
        assert not await books.roll_up.roll_up_next(AFTER)
    await books.rolled()
    assert len(await books.sql("SELECT 1 FROM usage_slots")) == 1


async def test_the_slowest_calls_are_found_in_slots_and_rows(books: Books) -> None:
    person = await create_account(books.engine)
    await days_of_trade(books, [person])
    half_past = (FIRST + timedelta(days=1), FIRST + timedelta(days=7, minutes=11))
    before = [await books.slowest(FIRST, AFTER), await books.slowest(*half_past)]
    await books.rolled()
    assert [await books.slowest(FIRST, AFTER), await books.slowest(*half_past)] == before
    times = [call.row.latency_ms for call in before[0]]
    assert times == sorted(times, reverse=True)
    [(most,)] = await books.sql("SELECT max(latency_ms) FROM usage_records WHERE kind = 'chat'")
    assert (len(times), times[0]) == (20, most)
    assert {call.email is None for call in before[0]} == {call.row.user_id is None for call in before[0]}
    # A late row counts at once, and after the next run.
    await books.write({"created_at": FIRST + timedelta(days=2), "latency_ms": 10**6})
    late = await books.slowest(FIRST, AFTER)
    await books.rolled()
    assert late[0].row.latency_ms == 10**6
    assert await books.slowest(FIRST, AFTER) == late
