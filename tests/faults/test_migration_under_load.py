"""A migration beside turns and a dump fails no turn and waits for no dump."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.cli import migrations
from gateway.core.bundled_files import bundled_files_dir
from gateway.core.database import create_engine
from tests.support.engines import database_url_for, execute_on_server, migrate
from tests.support.steady_load import SteadyLoad
from tests.support.two_worker_stage import two_worker_stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

TURNS_A_SECOND = 8
# The tables that a turn writes, in an order in which no turn takes them.
REVISIONS = {
    "9001": 'op.add_column("messages", sa.Column("added", sa.Text(), nullable=True))',
    "9002": 'op.add_column("budgets", sa.Column("added", sa.Text(), nullable=True)); '
    'op.add_column("messages", sa.Column("more", sa.Integer(), server_default="0", nullable=False))',
    "9003": 'op.add_column("conversations", sa.Column("added", sa.Text(), nullable=True)); '
    'op.add_column("users", sa.Column("added", sa.Text(), nullable=True))',
}


def newer_release(folder: Path) -> Path:
    """The shipped migrations and three more."""
    shutil.copytree(bundled_files_dir() / "alembic", folder / "alembic")
    shutil.copyfile(bundled_files_dir() / "alembic.ini", folder / "alembic.ini")
    before = max(path.name[:4] for path in (folder / "alembic" / "versions").glob("[0-9]*.py"))
    for revision, change in REVISIONS.items():
        (folder / "alembic" / "versions" / f"{revision}_more.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f'revision = "{revision}"\ndown_revision = "{before}"\nbranch_labels = depends_on = None\n'
            f"def upgrade() -> None:\n    {change}\n"
        )
        before = revision
    return folder


async def test_no_turn_fails_while_a_newer_release_migrates_beside_a_dump(
    redis_url: str, tmp_path: Path, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"migrated_{worker_id}_beside"
    execute_on_server(f'CREATE DATABASE "{name}"')
    try:
        await asyncio.to_thread(migrate, database_url_for(name))
        release = newer_release(tmp_path / "newer")
        async with two_worker_stage(database_url_for(name), redis_url, tmp_path) as one:
            load = SteadyLoad(one, [await one.add_caller() for _ in range(4)], TURNS_A_SECOND)
            running = asyncio.create_task(load.run())
            engine = create_engine(database_url_for(name), 1)
            async with engine.connect() as dump:
                for table in ("users", "conversations", "messages", "budgets"):
                    await dump.execute(text(f"LOCK TABLE {table} IN ACCESS SHARE MODE"))
                with monkeypatch.context() as patch:
                    patch.setattr(migrations, "bundled_files_dir", lambda: release)
                    migrating = asyncio.create_task(
                        asyncio.to_thread(migrations.upgrade, database_url_for(name))
                    )
                    await asyncio.sleep(4)  # several tries, beside turns
                    assert not migrating.done()
                    began = len(load.turns)
                    await dump.rollback()
                    assert await migrating == "9003"
            await asyncio.sleep(1)
            load.stop()
            await running
            await engine.dispose()
            assert began > TURNS_A_SECOND
            assert {asked.response.assert_one_ending() for asked in load.turns} <= {"done", "200"}
            await one.checker.assert_consistent()
        # The release that served goes on serving, and starts, on the newer schema.
        assert await asyncio.to_thread(migrations.upgrade, database_url_for(name)) == "9003"
    finally:
        await asyncio.to_thread(execute_on_server, f'DROP DATABASE "{name}" WITH (FORCE)')
