"""Alembic's migrations, run by the program itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import gateway
from alembic import command
from gateway.cli.errors import OperatorError, brief

T = TypeVar("T")


def configuration(database_url: str) -> Config:
    """Alembic's configuration of the installed project, for one database."""
    folder = Path(gateway.__file__).parent.parent
    if not (folder / "alembic" / "versions").is_dir():
        raise OperatorError(
            f"The migrations are not beside the program in {folder}; install from a checkout."
        )
    config = Config(folder / "alembic.ini")
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> str:
    """Migrate to the newest schema and return its revision; two starters wait for one another in `env.py`."""
    config = configuration(database_url)
    if present(database_url) != newest(config):
        command.upgrade(config, "head")
    return newest(config)


def newest(config: Config) -> str:
    """The newest revision that the program knows."""
    return ScriptDirectory.from_config(config).get_current_head() or ""


def present(database_url: str) -> str:
    """The revision that the database is at; empty before the first migration."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its own plumbing
    return _ask(
        database_url, lambda connection: MigrationContext.configure(connection).get_current_revision() or ""
    )


def has_table(database_url: str, name: str) -> bool:
    """Whether the database has a table of that name."""
    return _ask(database_url, lambda connection: inspect(connection).has_table(name))


def _ask(database_url: str, question: Callable[[Connection], T]) -> T:
    async def connect() -> T:
        engine = create_async_engine(database_url, poolclass=NullPool, connect_args={"timeout": 10})
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(question)
        except OSError as error:  # refused, no such host, no such socket, too slow
            raise OperatorError(
                f"The database at DATABASE_URL cannot be reached: {brief(error)}. Check that it runs there."
            ) from None
        finally:
            await engine.dispose()

    return asyncio.run(connect())
