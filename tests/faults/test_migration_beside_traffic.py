"""A migration runs beside turns and a dump: no turn fails, and none waits for the dump."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.cli import migrations
from gateway.core.database import create_engine
from gateway.core.shipped import shipped_folder
from tests.engines import execute, migrate, url_of
from tests.faults.load import Load
from tests.faults.stage import stage

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
    shutil.copytree(shipped_folder() / "alembic", folder / "alembic")
    shutil.copyfile(shipped_folder() / "alembic.ini", folder / "alembic.ini")
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
    execute(f'CREATE DATABASE "{name}"')
    try:
        await asyncio.to_thread(migrate, url_of(name))
        release = newer_release(tmp_path / "newer")
        async with stage(url_of(name), redis_url, tmp_path) as one:
            load = Load(one, [await one.caller() for _ in range(4)], TURNS_A_SECOND)
            running = asyncio.create_task(load.run())
            engine = create_engine(url_of(name), 1)
            async with engine.connect() as dump:
                for table in ("users", "conversations", "messages", "budgets"):
                    await dump.execute(text(f"LOCK TABLE {table} IN ACCESS SHARE MODE"))
                with monkeypatch.context() as patch:
                    patch.setattr(migrations, "shipped_folder", lambda: release)
                    migrating = asyncio.create_task(asyncio.to_thread(migrations.upgrade, url_of(name)))
                    await asyncio.sleep(4)  # several tries, beside turns
                    assert not migrating.done()
                    began = len(load.asked)
                    await dump.rollback()
                    assert await migrating == "9003"
            await asyncio.sleep(1)
            load.stop()
            await running
            await engine.dispose()
            assert began > TURNS_A_SECOND
            assert {asked.heard.honest() for asked in load.asked} <= {"done", "200"}
            await one.ledgers.check()
        # The release that served goes on serving, and starts, on the newer schema.
        assert await asyncio.to_thread(migrations.upgrade, url_of(name)) == "9003"
    finally:
        await asyncio.to_thread(execute, f'DROP DATABASE "{name}" WITH (FORCE)')
