"""Database engine (asyncpg behind SQLAlchemy's pool) and its errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool
from sqlalchemy.util import greenlet_spawn

from gateway.core.exceptions import Unavailable
from gateway.core.loop_lag import LoopLagMeter
from gateway.core.service_urls import parse_database_url
from gateway.core.tracing import is_tracing, record_completed_span

CONNECT_TIMEOUT = 5.0  # seconds
POOL_TIMEOUT = 2.0  # seconds; a request that waits longer should be rejected and retried
# If no connection was returned for this long, callers fail at once instead of waiting.
STUCK_AFTER_SECONDS = 1.0
COMMAND_TIMEOUT = 10.0  # seconds; a hanging server must not hold connections forever
HOT_PATH_TIMEOUT = 5.0  # seconds for one statement of a turn, including getting the connection
# A wait for a connection is repeated once if the event loop was blocked for this many seconds of it.
_MIN_LAG = 0.1
_MAX_QUERY_TEXT = 4096

# SQLSTATE classes of temporary failures: connection lost, no resources left, stopped by an operator,
# serialization failure or deadlock.
_UNAVAILABLE_STATES = ("08", "53", "57", "40")
# A connection is unusable after these: its reply is still outstanding, or asyncpg's protocol state is broken
# (for example because the server closed the connection while it was being acquired).
_BROKEN_CONNECTION_ERRORS = (TimeoutError, asyncpg.InternalClientError)

# SQLAlchemy names a pool's logger by its class; below WARNING it only logs pool internals.
logging.getLogger(f"{__name__}.ConnectionPool").setLevel(logging.WARNING)


def _is_not_cancelled_connect(record: logging.LogRecord) -> bool:
    # asyncpg does not await a connection attempt that is cancelled, so asyncio would log its failure as an
    # exception that was never retrieved.
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, ConnectionError) and str(error) == "unexpected connection_lost() call")


logging.getLogger("asyncio").addFilter(_is_not_cancelled_connect)


def create_engine(url: str, pool_size: int = 10) -> AsyncEngine:
    """Create an engine with at most `pool_size` connections.

    It connects on first use.

    `url` is any form that `service_urls.parse_database_url` accepts. A Unix socket is given as
    `postgresql://user@/name?host=/directory`.
    """
    address = parse_database_url(url)
    engine = create_async_engine(
        address.url,
        poolclass=ConnectionPool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_use_lifo=True,
        json_serializer=dump_json,
        # Parameters are user content and must not appear in errors or logs.
        hide_parameters=True,
        json_deserializer=orjson.loads,
        connect_args={
            **address.connect_args,
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": COMMAND_TIMEOUT,
            # JIT compilation would cost more than any of these statements takes.
            "server_settings": {"jit": "off", "timezone": "UTC"},
        },
    )
    event.listen(engine.sync_engine, "checkout", _reject_closed)
    event.listen(engine.sync_engine, "handle_error", _discard_broken)
    if is_tracing():
        event.listen(engine.sync_engine, "connect", _trace_queries)
    return engine


class ConnectionPool(AsyncAdaptedQueuePool):
    """Fails at once if every connection is in use and none was returned for a while.

    Under load connections are returned all the time, and a short wait is fine. Time during which this process
    blocked its own event loop does not count, because replies that arrived meanwhile have not been read yet.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_activity = time.monotonic()
        self._loop_lag = LoopLagMeter()
        self._lag_at_activity = 0.0

    def _do_get(self) -> ConnectionPoolEntry:
        lag_before = self._loop_lag.total_seconds()
        idle_seconds = time.monotonic() - self._last_activity - (lag_before - self._lag_at_activity)
        if self.checkedout() >= self.size() and idle_seconds > STUCK_AFTER_SECONDS:
            raise PoolTimeout("every connection is in use and none is being returned")
        try:
            record = super()._do_get()
        except PoolTimeout:
            if self._loop_lag.total_seconds() - lag_before < _MIN_LAG:
                raise
            record = super()._do_get()  # the event loop was blocked during the wait, so wait once more
        self._record_activity()
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._record_activity()
        super()._do_return_conn(record)

    def dispose(self) -> None:
        super().dispose()
        self._loop_lag.stop()

    def _record_activity(self) -> None:
        self._last_activity = time.monotonic()
        with suppress(RuntimeError):  # the garbage collector may return a connection without a running loop
            self._lag_at_activity = self._loop_lag.total_seconds()


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections of one pool: checked out, configured size, and overflow."""

    in_use: int
    size: int
    overflow: int


def pool_stats(engine: AsyncEngine) -> PoolStats:
    """Return the engine's current pool statistics.

    All zero for an engine without a pool.
    """
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return PoolStats(0, 0, 0)
    return PoolStats(pool.checkedout(), pool.size(), max(0, pool.overflow()))


def create_session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Create a factory of sessions without automatic flushing or expiry."""
    return async_sessionmaker(engine, autoflush=False, expire_on_commit=False)


@asynccontextmanager
async def driver_connection(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """Yield asyncpg's own connection, for units of work that are a single statement.

    No transaction is opened: PostgreSQL runs each statement in its own, which saves two round trips and two
    thirds of the CPU time of a session. Arguments of type json are JSON text here (`dump_json`).

    Raises:
        Unavailable: the database cannot be reached or does not answer in time, or the pool is exhausted.
    """
    try:
        async with asyncio.timeout(HOT_PATH_TIMEOUT):
            # Taken from the pool directly: SQLAlchemy's connection object costs as much as the statement.
            pooled = await engine.raw_connection()
            raw = pooled.driver_connection
            assert raw is not None
            try:
                yield raw
            except (asyncio.CancelledError, *_BROKEN_CONNECTION_ERRORS):
                raw.terminate()
                raise
            finally:
                # Returning the connection awaits nothing, so a cancellation cannot leak it. A connection that
                # was closed meanwhile is replaced at its next checkout.
                await greenlet_spawn(pooled.close)
    except Exception as error:
        if (unavailable := as_unavailable(error)) is not None:
            raise unavailable from error
        raise


def dump_json(value: Any) -> str:
    """Serialize to JSON text that jsonb accepts: drop NUL, replace lone surrogates."""
    try:
        text = orjson.dumps(value, default=str).decode()
    except TypeError:  # a lone surrogate, which an upstream response may contain
        return orjson.dumps(_clean_json(value), default=str).decode()
    # The match may be an escaped backslash before "u0000"; then the copy is redundant but correct.
    return orjson.dumps(_clean_json(value), default=str).decode() if "\\u0000" in text else text


def clean_text(text: str) -> str:
    """Drop NUL and replace lone surrogates by `?`, as PostgreSQL requires."""
    if text.isascii():
        return text.replace("\x00", "")
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def as_unavailable(error: BaseException) -> Unavailable | None:
    """Return the error to answer with if the database is unreachable or overloaded."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None) or ""
    if (
        (isinstance(error, DBAPIError) and error.connection_invalidated)
        or isinstance(
            cause,
            (PoolTimeout, OSError, asyncpg.InterfaceError, DisconnectionError, *_BROKEN_CONNECTION_ERRORS),
        )
        or state.startswith(_UNAVAILABLE_STATES)
    ):
        return Unavailable(retry_after=1)
    return None


def _trace_queries(connection: Any, record: Any) -> None:
    """Record a span for every statement, from SQLAlchemy and from the hot path alike."""
    connection.driver_connection.add_query_logger(_query_span)


def _query_span(query: asyncpg.connection.LoggedQuery) -> None:
    # Statement texts contain no values; those are sent as parameters.
    text = query.query.strip()
    operation = (text.split(None, 1) or [""])[0].rstrip(";").upper()[:16]
    error = query.exception
    record_completed_span(
        operation,
        query.elapsed,
        {
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.query.text": text[:_MAX_QUERY_TEXT],
        },
        None if error is None else getattr(error, "sqlstate", None) or type(error).__name__,
    )


def _reject_closed(connection: Any, record: Any, proxy: Any) -> None:
    # asyncpg knows about a closed socket without asking the server: a database restart causes no errors, and
    # a healthy connection needs no ping.
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed this connection")


def _discard_broken(context: ExceptionContext) -> None:
    # SQLAlchemy does not treat these as disconnects and would try to roll back.
    if isinstance(context.original_exception, _BROKEN_CONNECTION_ERRORS):
        context.is_disconnect = True


def _clean_json(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {_clean_json(key): _clean_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean_json(item) for item in value]
    return value
