"""Runs migrations over asyncpg against DATABASE_URL, one starter at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from logging.config import fileConfig
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from alembic import context
from gateway.core.service_urls import parse_database_url
from gateway.models import (  # noqa: F401 - each tells the metadata of its tables
    api_key,
    audit_log,
    budget,
    conversation,
    idempotency_key,
    image,
    message,
    password_reset,
    refresh_token,
    usage_record,
    usage_rollup,
    user,
    waiting_turn,
)
from gateway.models.base import Base
from gateway.models.response_embedding import TABLE as OPTIONAL

# Any number will do that nothing else in the database locks.
_LOCK = 0x6C6C6D5F67617465
# Whoever waits for a lock of a table makes all later callers of that table wait. So a migration waits for a
# moment only, shorter than PostgreSQL takes to look for deadlocks (1 s); `gateway migrate` then tries again.
_LOCK_TIMEOUT = "200ms"
_PARTITION = re.compile(r"_(default|\d{4}_\d{2})$")


def database_url() -> str:
    """The URL that the caller put into the configuration's attributes, else that of the environment."""
    url = context.config.attributes.get("database_url") or os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("DATABASE_URL is not set: postgresql://user:password@host:5432/name")
    return str(url)


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Partitions come and go with the months, and a table of pgvector's is not in every database."""
    return not (kind == "table" and name is not None and (name == OPTIONAL or _PARTITION.search(name)))


def migrate(connection: Connection) -> None:
    """Run what was asked for, in one transaction; whoever starts second waits and finds it done.

    `gateway.cli.migrations` asks for one revision at a time.
    """
    context.configure(connection=connection, target_metadata=Base.metadata, include_name=include_name)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        context.run_migrations()


async def online() -> None:
    """Connect and migrate; no pool, no time limit on a statement."""
    address = parse_database_url(database_url())
    engine = create_async_engine(address.url, poolclass=NullPool, connect_args=dict(address.connect_args))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
    finally:
        await engine.dispose()


def offline() -> None:
    """Print the statements instead of running them (`alembic upgrade head --sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


# Only alembic's own command line has no logging yet; a program that runs migrations keeps its own.
if context.config.config_file_name is not None and not logging.getLogger().handlers:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

if context.is_offline_mode():
    offline()
else:
    asyncio.run(online())
