"""Single questions to the database, for commands that have no engine of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.cli.errors import OperatorError, brief
from gateway.core.service_urls import database_address

T = TypeVar("T")


def ask(database_url: str, question: Callable[[Connection], T]) -> T:
    """The answer of a connection made for this question alone.

    Raises:
        OperatorError: nothing answers there.
    """

    async def connect() -> T:
        address = database_address(database_url)
        arguments = {**address.connect_args, "timeout": 10}
        engine = create_async_engine(address.url, poolclass=NullPool, connect_args=arguments)
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


def has_table(database_url: str, name: str) -> bool:
    """Whether the database has a table of that name."""
    return ask(database_url, lambda connection: inspect(connection).has_table(name))


def clock_ahead(database_url: str) -> float:
    """Seconds by which the database's clock is ahead of this machine's, to half a round trip."""

    def compare(connection: Connection) -> float:
        connection.execute(text("SELECT 1"))  # what a first statement costs more is not the clock's
        before = time.time()
        theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        return float(theirs) - (before + time.time()) / 2

    return ask(database_url, compare)
