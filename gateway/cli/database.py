"""Single questions to the database, for commands that have no engine of their own."""

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
    """The answer of a connection made for this question alone.

    Raises:
        OperatorError: nothing answers there.
    """

    async def connect() -> T:
        address = parse_database_url(database_url)
        arguments = {**address.connect_args, "timeout": 10}
        engine = create_async_engine(address.url, poolclass=NullPool, connect_args=arguments)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(query)
        except OSError as error:  # refused, no such host, no such socket, too slow
            raise OperatorError(
                f"The database at DATABASE_URL cannot be reached: {first_line(error)}. "
                "Check that it runs there."
            ) from None
        finally:
            await engine.dispose()

    return asyncio.run(connect())


def has_table(database_url: str, name: str) -> bool:
    """Whether the database has a table of that name."""
    return run_query(database_url, lambda connection: inspect(connection).has_table(name))


def clock_offset(database_url: str) -> float:
    """Seconds by which the database's clock is ahead of this machine's, to half a round trip."""

    def compare(connection: Connection) -> float:
        connection.execute(text("SELECT 1"))  # what a first statement costs more is not the clock's
        before = time.time()
        theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        return float(theirs) - (before + time.time()) / 2

    return run_query(database_url, compare)
