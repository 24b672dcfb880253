"""Runs migrations over asyncpg against DATABASE_URL, one process at a time."""

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
from gateway.models import (  # noqa: F401 - each registers its tables
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

# An advisory lock that nothing else in the database uses.
_LOCK = 0x6C6C6D5F67617465
# A session that waits for a table lock blocks all later users of that table. So a migration waits only
# briefly, for less than PostgreSQL's deadlock timeout (1 s); `gateway migrate` then retries.
_LOCK_TIMEOUT = "200ms"
_PARTITION = re.compile(r"_(default|\d{4}_\d{2})$")


def database_url() -> str:
    """Return the URL from the configuration's attributes or the environment."""
    url = context.config.attributes.get("database_url") or os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("DATABASE_URL is not set. Set it to postgresql://user:password@host:5432/name")
    return str(url)


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Ignore monthly partitions, and pgvector's table, which not every database has."""
    return not (kind == "table" and name is not None and (name == OPTIONAL or _PARTITION.search(name)))


def migrate(connection: Connection) -> None:
    """Run the requested revisions in one transaction.

    A second process waits for the first and finds nothing to do. `gateway.cli.migrations` requests one
    revision at a time.
    """
    context.configure(connection=connection, target_metadata=Base.metadata, include_name=include_name)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        context.run_migrations()


async def online() -> None:
    """Connect and migrate, without a pool or statement timeout."""
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


# Only alembic's own command line has no logging yet; other programs keep theirs.
if context.config.config_file_name is not None and not logging.getLogger().handlers:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

if context.is_offline_mode():
    offline()
else:
    asyncio.run(online())
