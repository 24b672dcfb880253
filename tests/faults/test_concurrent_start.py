"""Two gateways start on an empty database: one migrates, both serve."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.core.database import create_engine
from tests.faults.summary import RecordFault
from tests.support.database import fetch_rows
from tests.support.engines import database_url_for, execute_on_server
from tests.support.two_worker_stage import create_completion, stream_turn, two_worker_stage, worker_processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROW = "two gateways that migrate at the start"


@pytest.mark.parametrize("number", range(3))
async def test_two_gateways_start_and_one_migrates(
    redis_url: str, tmp_path: Path, number: int, worker_id: str, seen: RecordFault
) -> None:
    name = f"starters_{worker_id}_{number}"
    execute_on_server(f'CREATE DATABASE "{name}"')
    try:
        async with two_worker_stage(database_url_for(name), redis_url, tmp_path, processes=True) as one:
            caller = await one.add_caller()
            for door in one.workers:
                assert (await stream_turn(door, caller)).assert_one_ending() == "done"
                assert (await create_completion(door, caller)).assert_one_ending() == "200"
            engine = create_engine(database_url_for(name), 1)
            assert len(await fetch_rows(engine, "SELECT version_num FROM alembic_version")) == 1
            admins = await fetch_rows(engine, "SELECT id FROM users WHERE role = 'admin'")
            assert len(admins) == 1, "the first account was made twice"
            await engine.dispose()
            shown = ["admin password:" in worker.output for worker in worker_processes(one)]
            assert sorted(shown) == [False, True]
            await one.checker.assert_consistent()
    finally:
        await asyncio.to_thread(execute_on_server, f'DROP DATABASE "{name}" WITH (FORCE)')
    seen(ROW, times=1, what="one migrated and created the first account, both served")
