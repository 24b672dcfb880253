"""Units of work on a real database: commits, connections and failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core import database
from gateway.core.database import create_engine, create_session_factory, driver_connection
from gateway.core.exceptions import Unavailable
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from tests.support.database import begin_turn, create_account, fetch_rows, wait_for_row

NOWHERE = "postgresql+asyncpg://nobody@/nothing?host=/nonexistent/directory"


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=1)
    yield engine
    await engine.dispose()


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Another client of the same database."""
    engine = create_engine(database_url, pool_size=2)
    yield engine
    await engine.dispose()


@pytest.fixture
async def user(other: AsyncEngine) -> UUID:
    return await create_account(other)


def unit(engine: AsyncEngine) -> UnitOfWork:
    return UnitOfWork(create_session_factory(engine))


async def titles(engine: AsyncEngine, user: UUID) -> list[str]:
    found = await fetch_rows(engine, "SELECT title FROM conversations WHERE user_id = :user", user=user)
    return [row["title"] for row in found]


async def backend(engine: AsyncEngine) -> int:
    async with unit(engine) as uow:
        return int(await uow.session.scalar(text("SELECT pg_backend_pid()")))


async def test_clean_exit_commits(engine, other, user):
    async with unit(engine) as uow:
        await uow.conversations.add(user, title="kept", model=None, system=None)
        assert await titles(other, user) == []
    assert await titles(other, user) == ["kept"]


async def test_exception_rolls_back_and_propagates_unchanged(engine, other, user):
    async def work() -> None:
        async with unit(engine) as uow:
            await uow.conversations.add(user, title="lost", model=None, system=None)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        await work()
    assert await titles(other, user) == []
    assert engine.pool.checkedout() == 0


async def test_constraint_violation_propagates_unchanged(engine, user):
    with pytest.raises(IntegrityError):
        async with unit(engine) as uow:
            await uow.session.execute(text("INSERT INTO conversations (id) VALUES (NULL)"))


async def test_cancelled_unit_of_work_rolls_back_and_releases_its_connection(engine, other, user):
    inside = asyncio.Event()

    async def work() -> None:
        async with unit(engine) as uow:
            await uow.conversations.add(user, title="cancelled", model=None, system=None)
            inside.set()
            await uow.session.execute(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.pool.checkedout() == 0
    assert await titles(other, user) == []
    assert await backend(engine)


async def test_cancelled_statement_leaves_a_usable_connection(engine):
    started = asyncio.Event()

    async def work() -> None:
        async with driver_connection(engine) as connection:
            started.set()
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with driver_connection(engine) as connection:
        assert await connection.fetchval("SELECT 7") == 7


async def test_idle_connection_closed_by_the_server_causes_no_error(engine, other, user):
    before = await backend(engine)
    await fetch_rows(other, "SELECT pg_terminate_backend(:pid)", pid=before)
    gone = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid)"
    await wait_for_row(other, gone, pid=before)
    assert await backend(engine) != before
    assert (await begin_turn(TurnRepository(engine), user, "q")).history_texts == []


@pytest.mark.parametrize("single", [False, True])
async def test_connection_lost_in_a_statement_is_a_503_and_the_next_works(engine, other, single):
    async def work() -> None:
        if single:
            async with driver_connection(engine) as connection:
                await connection.execute("SELECT pg_sleep(60)")
        else:
            async with unit(engine) as uow:
                await uow.session.execute(text("SELECT pg_sleep(60)"))

    task = asyncio.create_task(work())
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query = 'SELECT pg_sleep(60)' AND state = 'active' AND datname = current_database()"
    )
    await wait_for_row(other, query)
    with pytest.raises(Unavailable) as caught:
        await task
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert engine.pool.checkedout() == 0
    assert await backend(engine)


async def test_exhausted_pool_is_a_503(database_url, monkeypatch, user):
    monkeypatch.setattr(database, "POOL_TIMEOUT", 0.05)
    engine = create_engine(database_url, pool_size=1)
    async with driver_connection(engine):
        with pytest.raises(Unavailable):
            async with unit(engine) as uow:
                await uow.conversations.list_recent(user, None, 1)
        with pytest.raises(Unavailable):
            await begin_turn(TurnRepository(engine), user, "q")
    await engine.dispose()


async def test_lag_of_this_process_is_not_a_stuck_pool(database_url, monkeypatch):
    monkeypatch.setattr(database, "STUCK_AFTER_SECONDS", 1.0)
    monkeypatch.setattr(database, "POOL_TIMEOUT", 20)
    engine = create_engine(database_url, pool_size=1)

    async def ask() -> int:
        async with engine.connect() as connection:
            return (await connection.execute(text("SELECT 1"))).scalar_one()

    async with engine.connect():
        time.sleep(3)  # noqa: ASYNC251 - the stall: no connection can come back meanwhile
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting == 1
    await engine.dispose()


async def test_wait_for_a_connection_is_repeated_after_a_lag(database_url, monkeypatch):
    monkeypatch.setattr(database, "POOL_TIMEOUT", 0.5)
    monkeypatch.setattr(database, "STUCK_AFTER_SECONDS", 60)
    engine = create_engine(database_url, pool_size=1)

    async def ask() -> int:
        async with engine.connect() as connection:
            return (await connection.execute(text("SELECT 1"))).scalar_one()

    async with engine.connect():
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0)
        time.sleep(2)  # noqa: ASYNC251 - the stall
        for _ in range(20):  # the wait is over its time now, and is cut
            await asyncio.sleep(0)
    assert await waiting == 1
    await engine.dispose()


async def test_unreachable_database_is_a_503():
    engine = create_engine(NOWHERE)
    with pytest.raises(Unavailable):
        async with unit(engine) as uow:
            await uow.session.execute(text("SELECT 1"))
    with pytest.raises(Unavailable):
        async with driver_connection(engine):
            pass


async def test_endless_statement_is_a_503(database_url, monkeypatch):
    monkeypatch.setattr(database, "COMMAND_TIMEOUT", 0.05)
    engine = create_engine(database_url, pool_size=1)
    with pytest.raises(Unavailable):
        async with unit(engine) as uow:
            await uow.session.execute(text("SELECT pg_sleep(60)"))
    with pytest.raises(Unavailable):
        async with driver_connection(engine) as connection:
            await connection.execute("SELECT pg_sleep(60)")
    assert engine.pool.checkedout() == 0
    await engine.dispose()
