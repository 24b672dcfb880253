"""The database engine: asyncpg behind SQLAlchemy's pool, and what its failures mean to a caller."""

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
POOL_TIMEOUT = 2.0  # seconds; a caller that waits longer is better told to come again
STUCK_AFTER_SECONDS = (
    1.0  # seconds without a connection coming back, after which nobody waits for one any more
)
COMMAND_TIMEOUT = 10.0  # seconds; a server that hangs must not keep our connections for ever
HOT_PATH_TIMEOUT = 5.0  # seconds for all of a turn's statement: the connection, the statement, its answer
# Seconds for which the loop has to be held up during a wait for a connection, for that wait to be repeated.
_MIN_LAG = 0.1
_MAX_QUERY_TEXT = 4096

# SQLSTATE classes of a server that cannot serve now, though the statement may be sound: connection lost,
# no resources left, stopped by an operator, serialisation failure or deadlock.
_UNAVAILABLE_STATES = ("08", "53", "57", "40")
# After these a connection is good for nothing: its answer is still to come, or asyncpg has lost the thread,
# as it does where the server says goodbye to a connection that was just taken up.
_BROKEN_CONNECTION_ERRORS = (TimeoutError, asyncpg.InternalClientError)

# SQLAlchemy gives a pool a logger by its class, and would tell of its own plumbing.
logging.getLogger(f"{__name__}.ConnectionPool").setLevel(logging.WARNING)


def _is_not_cancelled_connect(record: logging.LogRecord) -> bool:
    # asyncpg awaits nothing of a connection that is called off while it is being made, so that asyncio would
    # report what became of it as somebody's forgotten error.
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, ConnectionError) and str(error) == "unexpected connection_lost() call")


logging.getLogger("asyncio").addFilter(_is_not_cancelled_connect)


def create_engine(url: str, pool_size: int = 10) -> AsyncEngine:
    """An engine with at most `pool_size` connections; nothing connects yet.

    `url` is an address in any form that `service_urls.database_address` reads. A Unix socket is given as
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
        # What a statement was given is somebody's text: it has no place in an error or a log line.
        hide_parameters=True,
        json_deserializer=orjson.loads,
        connect_args={
            **address.connect_args,
            "timeout": CONNECT_TIMEOUT,
            "command_timeout": COMMAND_TIMEOUT,
            # Compiling a plan would cost more than any of our statements takes.
            "server_settings": {"jit": "off", "timezone": "UTC"},
        },
    )
    event.listen(engine.sync_engine, "checkout", _reject_closed)
    event.listen(engine.sync_engine, "handle_error", _discard_broken)
    if is_tracing():
        event.listen(engine.sync_engine, "connect", _trace_queries)
    return engine


class ConnectionPool(AsyncAdaptedQueuePool):
    """Refuses at once where every connection is out and none came back for a while: waiting cannot help.

    In a rush connections come back all the time, and a short wait for one is right. Time in which this
    process held up its own loop does not count: answers that came meanwhile have not been read yet.
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
            raise PoolTimeout("every connection is in use, and none comes back")
        try:
            record = super()._do_get()
        except PoolTimeout:
            if self._loop_lag.total_seconds() - lag_before < _MIN_LAG:
                raise
            record = super()._do_get()  # the wait was cut by a stall, and is granted once more
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
        with suppress(RuntimeError):  # the garbage collector returns a connection where no loop runs
            self._lag_at_activity = self._loop_lag.total_seconds()


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections of one pool: lent out, kept at most, and beyond that."""

    in_use: int
    size: int
    overflow: int


def pool_stats(engine: AsyncEngine) -> PoolStats:
    """What the engine's pool is doing now; noughts for one that keeps no connections."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return PoolStats(0, 0, 0)
    return PoolStats(pool.checkedout(), pool.size(), max(0, pool.overflow()))


def create_session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions for units of work: nothing is flushed or expired behind our back."""
    return async_sessionmaker(engine, autoflush=False, expire_on_commit=False)


@asynccontextmanager
async def driver_connection(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """asyncpg's own connection, for a hot path whose whole unit of work is one statement.

    No transaction is opened: PostgreSQL runs each statement in one of its own, which saves two round trips
    and two thirds of the CPU of a session. Arguments of type json are JSON text here (`dump_json`).

    Raises:
        Unavailable: the database cannot be reached or does not answer in time, or every connection is taken.
    """
    try:
        async with asyncio.timeout(HOT_PATH_TIMEOUT):
            # Straight from the pool: SQLAlchemy's own connection costs as much again as the statement.
            pooled = await engine.raw_connection()
            raw = pooled.driver_connection
            assert raw is not None
            try:
                yield raw
            except (asyncio.CancelledError, *_BROKEN_CONNECTION_ERRORS):
                raw.terminate()
                raise
            finally:
                # Nothing is awaited in giving it back, so that no cancellation can keep it: not even that a
                # closed one ends in good order. Whoever is handed such a one is given a new one instead.
                await greenlet_spawn(pooled.close)
    except Exception as error:
        if (unavailable := as_unavailable(error)) is not None:
            raise unavailable from error
        raise


def dump_json(value: Any) -> str:
    """JSON text that jsonb accepts: NUL, which it cannot hold, left out; lone surrogates replaced."""
    try:
        text = orjson.dumps(value, default=str).decode()
    except TypeError:  # a lone surrogate, which a vendor's answer may hold
        return orjson.dumps(_clean_json(value), default=str).decode()
    # The escape may also be a backslash before harmless text; then the copy is in vain, but right.
    return orjson.dumps(_clean_json(value), default=str).decode() if "\\u0000" in text else text


def clean_text(text: str) -> str:
    """`text` as PostgreSQL can hold it: without NUL, lone surrogates replaced by `?`."""
    if text.isascii():
        return text.replace("\x00", "")
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def as_unavailable(error: BaseException) -> Unavailable | None:
    """The error to answer with where the database cannot be reached or has no room; else None."""
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
    """asyncpg tells of each statement once it is done: SQLAlchemy's and those of the hot path alike."""
    connection.driver_connection.add_query_logger(_query_span)


def _query_span(query: asyncpg.connection.LoggedQuery) -> None:
    # Statements hold no values: those travel beside them.
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
    # asyncpg learns of a closed socket without asking the server: a restarted database costs nobody an
    # error, and a sound one costs no ping.
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed this connection")


def _discard_broken(context: ExceptionContext) -> None:
    # SQLAlchemy takes these for no fault of the connection's, and would roll back on it.
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
