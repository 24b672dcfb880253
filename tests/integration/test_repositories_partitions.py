"""Monthly usage partitions: created ahead, and filled from the default partition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.database import create_engine, create_session_factory
from gateway.core.ids import new_id
from gateway.domain.usage.turn_records import UsageOwner
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from tests.support.database import create_account, fetch_rows, usage_entry


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=2)
    yield engine
    await engine.dispose()


async def partition_of(engine: AsyncEngine, usage_id: UUID) -> str:
    (row,) = await fetch_rows(
        engine, "SELECT tableoid::regclass::text AS name FROM usage_records WHERE id = :id", id=usage_id
    )
    return str(row["name"])


async def ensure(engine: AsyncEngine, months_ahead: int) -> int:
    async with UnitOfWork(create_session_factory(engine)) as uow:
        return await uow.usage.ensure_partitions(months_ahead)


def months_from_now(months: int) -> datetime:
    now = datetime.now(UTC)
    years, month = divmod(now.month - 1 + months, 12)
    return datetime(now.year + years, month + 1, 15, tzinfo=UTC)


async def test_usage_of_today_is_in_its_months_partition(engine):
    call = usage_entry()
    await TurnRepository(engine).record_usage(UsageOwner(await create_account(engine), "r"), [call])
    assert await partition_of(engine, call.id) == f"usage_records_{datetime.now(UTC):%Y_%m}"


async def test_rows_move_from_the_default_partition_to_a_new_one(engine):
    far = months_from_now(9)
    call = usage_entry(id=new_id(), created_at=far)
    await TurnRepository(engine).record_usage(UsageOwner(await create_account(engine), "r"), [call])
    assert await partition_of(engine, call.id) == "usage_records_default"
    assert await ensure(engine, 9) >= 1
    assert await partition_of(engine, call.id) == f"usage_records_{far:%Y_%m}"


async def test_existing_partitions_are_not_created_again(engine):
    await ensure(engine, 4)
    assert await ensure(engine, 4) == 0


async def test_rows_stay_when_their_account_is_deleted(engine):
    user_id = await create_account(engine)
    call = usage_entry()
    await TurnRepository(engine).record_usage(UsageOwner(user_id, "r"), [call])
    await fetch_rows(engine, "DELETE FROM users WHERE id = :id RETURNING 1", id=user_id)
    (row,) = await fetch_rows(engine, "SELECT user_id FROM usage_records WHERE id = :id", id=call.id)
    assert row["user_id"] is None
