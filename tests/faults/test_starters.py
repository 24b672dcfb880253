"""Two who start at the same time on a database that is empty: one migrates, both serve."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.core.database import create_engine
from tests.engines import execute, url_of
from tests.faults.stage import complete, processes, say, stage
from tests.faults.summary import Seen
from tests.storage import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROW = "two migrating starters"


@pytest.mark.parametrize("number", range(3))
async def test_both_start_and_the_schema_is_made_once(
    redis_url: str, tmp_path: Path, number: int, worker_id: str, seen: Seen
) -> None:
    name = f"starters_{worker_id}_{number}"
    execute(f'CREATE DATABASE "{name}"')
    try:
        async with stage(url_of(name), redis_url, tmp_path, processes=True) as one:
            caller = await one.caller()
            for door in one.doors:
                assert (await say(door, caller)).honest() == "done"
                assert (await complete(door, caller)).honest() == "200"
            engine = create_engine(url_of(name), 1)
            assert len(await rows(engine, "SELECT version_num FROM alembic_version")) == 1
            admins = await rows(engine, "SELECT id FROM users WHERE role = 'admin'")
            assert len(admins) == 1, "the first account was made twice"
            await engine.dispose()
            shown = ["admin password:" in worker.said for worker in processes(one)]
            assert sorted(shown) == [False, True]
            await one.ledgers.check()
    finally:
        await asyncio.to_thread(execute, f'DROP DATABASE "{name}" WITH (FORCE)')
    seen(ROW, times=1, what="one migrated and made the first account, both served")
