"""The database engine: asyncpg behind SQLAlchemy's pool, and what its failures mean to a caller."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from gateway.core.exceptions import Unavailable

CONNECT_TIMEOUT = 5.0  # seconds
POOL_TIMEOUT = 2.0  # seconds; a caller that waits longer is better told to come again

# SQLSTATE classes and codes of a server that cannot serve now, though the statement may be sound:
# connection exceptions, lack of resources, operator intervention, serialisation failures.
_UNAVAILABLE_STATES = ("08", "53", "57", "40")


def create_engine(url: str, pool_size: int = 10) -> AsyncEngine:
    """An engine for `postgresql+asyncpg://` with at most `pool_size` connections.

    A Unix socket is given as `postgresql+asyncpg://user@/name?host=/directory`. Nothing connects yet.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_use_lifo=True,
        json_serializer=dump_json,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": CONNECT_TIMEOUT,
            # Compiling a plan costs more than any of our statements takes.
            "server_settings": {"jit": "off", "application_name": "llm-gateway", "timezone": "UTC"},
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def create_session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions for units of work: nothing is flushed, loaded or expired behind our back."""
    return async_sessionmaker(engine, autoflush=False, expire_on_commit=False)


def dump_json(value: Any) -> str:
    """JSON text that PostgreSQL's jsonb accepts: NUL, which it cannot store, is left out of strings."""
    text = orjson.dumps(value, default=str).decode()
    # The escape may also be a backslash followed by harmless text; only then is the copy in vain.
    return orjson.dumps(_without_nul(value), default=str).decode() if "\\u0000" in text else text


def clean_text(text: str) -> str:
    """`text` as PostgreSQL can store it: without NUL, lone surrogates replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if not text.isascii():
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def as_unavailable(error: BaseException) -> Unavailable | None:
    """The error to answer with where the database cannot be reached or has no room; else None."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None) or ""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if (
        lost
        or isinstance(cause, (PoolTimeout, OSError, asyncpg.InterfaceError, DisconnectionError))
        or state.startswith(_UNAVAILABLE_STATES)
    ):
        return Unavailable(retry_after=1)
    return None


def _refuse_closed(connection: Any, record: Any, proxy: Any) -> None:
    # The socket's end is known without asking the server, so a restarted database costs nobody an error
    # and a sound one costs no ping.
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed this connection")


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nul(item) for item in value]
    return value
