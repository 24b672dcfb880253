"""Alembic's migrations, run by the program itself."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import gateway
from alembic import command
from gateway.cli.database import ask
from gateway.cli.errors import OperatorError


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
    return ask(
        database_url, lambda connection: MigrationContext.configure(connection).get_current_revision() or ""
    )
