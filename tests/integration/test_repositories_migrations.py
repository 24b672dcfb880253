"""Migrations against an empty database: up, down, up again, and the same as the models say."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from gateway.core.database import create_engine
from gateway.core.ids import new_id
from tests.storage import rows

PROJECT = Path(__file__).parents[2]


@pytest.fixture
async def empty_database(database_url: str) -> AsyncIterator[str]:
    name = f"migrated_{new_id().hex}"
    server = create_async_engine(database_url, isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    async with server.connect() as connection:
        await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    await server.dispose()


def config(url: str) -> Config:
    settings = Config(PROJECT / "alembic.ini", stdout=open(os.devnull, "w"))  # noqa: SIM115 - lives as long as it
    settings.attributes["database_url"] = url
    return settings


async def tables(url: str) -> set[str]:
    engine = create_engine(url)
    found = await rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await engine.dispose()
    return {row["tablename"] for row in found}


async def test_migrations_go_up_down_and_up_again_and_match_the_models(empty_database):
    await asyncio.to_thread(command.upgrade, config(empty_database), "head")
    assert {"users", "conversations", "messages", "usage_records_default"} <= await tables(empty_database)
    await asyncio.to_thread(command.check, config(empty_database))
    await asyncio.to_thread(command.downgrade, config(empty_database), "base")
    assert await tables(empty_database) == {"alembic_version"}
    await asyncio.to_thread(command.upgrade, config(empty_database), "head")
    await asyncio.to_thread(command.check, config(empty_database))


async def test_two_that_start_at_once_migrate_once(empty_database):
    # A process each, as two gateways would be: alembic's own state is global to one.
    environment = {**os.environ, "DATABASE_URL": empty_database}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alembic", "upgrade", "head",
            cwd=PROJECT, env=environment, stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    logs = [(await process.communicate())[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(log.count("Running upgrade  -> 0001") for log in logs) == 1
    assert "messages" in await tables(empty_database)
