"""Runs of the maintenance job on the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from gateway.cache.client import ValkeyClient
from gateway.cache.event_log import EventLog
from gateway.core.database import create_engine, create_session_factory
from gateway.domain.config.catalog import Catalog
from gateway.repositories.turns.repository import TurnRepository
from gateway.repositories.turns.running import RunningTurnRepository
from gateway.repositories.unit_of_work import UnitOfWork
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.operations.maintenance import MaintenanceJob
from gateway.services.streams.orphan_recovery import OrphanedTurnRecovery
from gateway.services.usage.ledger import Ledger
from tests.support.database import begin_turn, create_account


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


def housekeeping(engine: AsyncEngine) -> MaintenanceJob:
    turns = TurnRepository(engine)
    uow = partial(UnitOfWork, create_session_factory(engine))
    recovery = OrphanedTurnRecovery(RunningTurnRepository(engine), EventLog(ValkeyClient("")))
    return MaintenanceJob(uow, turns, Ledger(turns, Catalog()), recovery, TurnTaskRegistry())


async def test_a_crashed_workers_turn_becomes_interrupted(engine: AsyncEngine) -> None:
    user = await create_account(engine)
    turns = TurnRepository(engine)
    dead = await begin_turn(turns, user, "lost?", lease_seconds=-1.0)
    alive = await begin_turn(turns, user, "still there?")
    await housekeeping(engine).run_once(run_hourly_tasks=False)
    async with engine.connect() as db:
        rows = (
            await db.execute(
                text(
                    "SELECT conversation_id, status FROM messages WHERE user_id = :u AND role = 'assistant'"
                ),
                {"u": user},
            )
        ).all()
    statuses = {row.conversation_id: row.status for row in rows}
    assert statuses == {dead.conversation_id: "interrupted", alive.conversation_id: "pending"}


async def test_a_run_creates_next_months_partitions(engine: AsyncEngine) -> None:
    await housekeeping(engine).run_once(run_hourly_tasks=True)
    async with engine.connect() as db:
        count = await db.scalar(
            text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_records'::regclass")
        )
    assert count is not None
    assert count >= 4


async def test_an_unreachable_database_does_not_stop_the_job() -> None:
    engine = create_engine(f"postgresql+asyncpg://nobody@127.0.0.1:1/{uuid4().hex}")
    rounds = asyncio.create_task(housekeeping(engine).run())
    done, _ = await asyncio.wait({rounds}, timeout=0.5)
    assert not done
    rounds.cancel()
    await asyncio.wait({rounds})
    await engine.dispose()


class _Tasks:
    """A registry of running turns by message, each cancelled at most once."""

    def __init__(self) -> None:
        self.running: dict[UUID, _Turn] = {}

    def by_message(self, message_id: UUID) -> _Turn | None:
        return self.running.get(message_id)


class _Ledger:
    def __init__(self, lost_turns: list[UUID]) -> None:
        self.lost_turns = lost_turns

    async def renew_leases(self) -> list[UUID]:
        return self.lost_turns


class _Turn:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


async def test_a_turn_that_just_ended_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.services.operations.maintenance._END_GRACE_SECONDS", 0.01)
    tasks = _Tasks()
    ending, lost = uuid4(), uuid4()
    tasks.running = {ending: _Turn(), lost: _Turn()}
    ledger = _Ledger([ending, lost, uuid4()])
    rounds = MaintenanceJob(None, None, ledger, None, tasks)  # type: ignore[arg-type]
    before = dict(tasks.running)
    with capture_logs() as logs:
        round_ = asyncio.create_task(rounds.run_once(run_hourly_tasks=False, expire_others=False))
        await asyncio.sleep(0)
        del tasks.running[ending]
        await round_
    assert not before[ending].cancelled
    assert before[lost].cancelled
    assert [entry["message_id"] for entry in logs] == [str(lost)]
