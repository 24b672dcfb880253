"""Migrations on an empty database: up, down, up again, and equal to the models."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from gateway.cli import migrations
from gateway.cli.doctor import _check_schema
from gateway.cli.errors import OperatorError
from gateway.core.database import create_engine
from gateway.core.ids import new_id
from tests.support.database import fetch_rows
from tests.support.paths import PROJECT


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
    found = await fetch_rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
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


async def test_two_concurrent_starts_migrate_once(empty_database):
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


async def test_migration_waits_for_a_dump_and_continues_after_it(empty_database):
    await asyncio.to_thread(command.upgrade, config(empty_database), "0007")
    engine = create_engine(empty_database, 2)
    async with engine.connect() as dump:
        await dump.execute(text("SELECT count(*) FROM messages"))  # holds its lock until the end
        migrating = asyncio.create_task(asyncio.to_thread(migrations.upgrade, empty_database))
        async with asyncio.timeout(60), engine.connect() as reader:
            for _ in range(30):  # a turn may wait for one try, never for the dump
                await reader.execute(text("SET LOCAL statement_timeout = '5s'"))
                await reader.execute(text("SELECT count(*) FROM messages"))
                await reader.rollback()
                await asyncio.sleep(0.02)
        assert not migrating.done()
        assert await migrations_revision(engine) == "0007"
    assert await migrating == migrations.latest_revision(config(empty_database))
    await engine.dispose()


async def migrations_revision(engine):
    return (await fetch_rows(engine, "SELECT version_num FROM alembic_version"))[0]["version_num"]


async def test_migration_blocked_by_locks_changes_nothing_and_names_the_holder(empty_database):
    await asyncio.to_thread(command.upgrade, config(empty_database), "0007")
    engine = create_engine(empty_database, 2)
    async with engine.connect() as dump:
        await dump.execute(text("SET application_name = 'pg_dump'"))
        await dump.commit()
        await dump.execute(text("SELECT count(*) FROM messages, pg_sleep(1.1)"))
        with pytest.raises(
            OperatorError, match=r"Revision 0008 .*pg_dump \(pid \d+, \d+ s\).*gateway migrate"
        ):
            await asyncio.to_thread(migrations.upgrade, empty_database, 0.5)
    assert await migrations_revision(engine) == "0007"
    await engine.dispose()


async def test_each_revision_is_committed_separately(empty_database):
    """Where a later one is locked out, the earlier ones stay, and no lock of theirs is held meanwhile."""
    await asyncio.to_thread(command.upgrade, config(empty_database), "0010")
    engine = create_engine(empty_database, 2)
    async with engine.connect() as dump:
        await dump.execute(text("SELECT count(*) FROM conversations"))
        with pytest.raises(OperatorError, match=r"Revision 0014"):
            await asyncio.to_thread(migrations.upgrade, empty_database, 0.5)
        reached = await migrations_revision(engine)
    assert reached == "0013"  # adding a reference to conversations waits for no reader, a column does
    await engine.dispose()


async def test_newer_schema_is_used_unless_it_requires_a_newer_program(empty_database):
    newest = await asyncio.to_thread(migrations.upgrade, empty_database)
    engine = create_engine(empty_database, 1)

    async def run(statement):
        async with engine.begin() as connection:
            await connection.execute(text(statement))

    await run("UPDATE alembic_version SET version_num = '9001'")
    assert await asyncio.to_thread(migrations.upgrade, empty_database) == "9001"
    found = await asyncio.to_thread(_check_schema, empty_database, "9001")
    assert found.ok is None
    assert "nothing to migrate" in found.message

    await run("COMMENT ON TABLE alembic_version IS 'oldest program: 9001'")
    with pytest.raises(OperatorError, match=f"older than 9001 .* this one is at {newest}"):
        await asyncio.to_thread(migrations.upgrade, empty_database)
    assert (await asyncio.to_thread(_check_schema, empty_database, "9001")).ok is False

    await run(f"COMMENT ON TABLE alembic_version IS 'oldest program: {newest}'")
    assert await asyncio.to_thread(migrations.upgrade, empty_database) == "9001"

    await run("UPDATE alembic_version SET version_num = 'abc'")
    with pytest.raises(OperatorError, match="another program"):
        await asyncio.to_thread(migrations.upgrade, empty_database)
    await engine.dispose()
