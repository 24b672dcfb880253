"""Single database queries, for commands without an engine of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.cli.errors import OperatorError, first_line
from gateway.core.service_urls import parse_database_url

T = TypeVar("T")


def run_query(database_url: str, query: Callable[[Connection], T]) -> T:
    """Run `query` on a connection opened for it alone.

    Raises:
        OperatorError: the database cannot be reached.
    """

    async def connect() -> T:
        address = parse_database_url(database_url)
        arguments = {**address.connect_args, "timeout": 10}
        engine = create_async_engine(address.url, poolclass=NullPool, connect_args=arguments)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(query)
        except OSError as error:  # refused, unknown host, missing socket, timeout
            raise OperatorError(
                f"The database at DATABASE_URL cannot be reached: {first_line(error)}. "
                "Check that it is running."
            ) from None
        finally:
            await engine.dispose()

    return asyncio.run(connect())


def has_table(database_url: str, name: str) -> bool:
    """Whether the database has a table with this name."""
    return run_query(database_url, lambda connection: inspect(connection).has_table(name))


def clock_offset(database_url: str) -> float:
    """Return the seconds by which the database's clock is ahead of this machine's."""

    def compare(connection: Connection) -> float:
        connection.execute(text("SELECT 1"))  # warm up, so that the measured round trip is short
        before = time.time()
        theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        return float(theirs) - (before + time.time()) / 2

    return run_query(database_url, compare)
