"""Valkey client: redis-py behind one deadline and a self-closing circuit breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar, cast

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.cache import health_check
from gateway.core.loop_lag import LoopLagMeter
from gateway.core.service_urls import normalize_valkey_url
from gateway.core.tracing import span

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Deadline of one command, including connecting. A hanging Valkey must never delay a request by more than 300
# ms.
DEADLINE_SECONDS = 0.25
# Delay before the breaker's first probe, and the longest delay between two probes.
_PROBE_FIRST, _PROBE_MAX = 0.1, 2.0
_RESUBSCRIBE_SECONDS = 1.0
# A subscriber does not notice a silently lost connection, so it sends a PING after a quiet period.
_PING_AFTER_SECONDS, _PONG_TIMEOUT_SECONDS = 10.0, 2.0
_MAX_CONNECTIONS = 512
_SPAN = {"db.system.name": "redis"}
# Each kind of error reply is logged at most this often.
_WARN_SECONDS = 60.0
_FAILURES = (OSError, RedisConnectionError, RedisTimeoutError, InvalidResponse)


class ValkeyUnavailable(Exception):
    """Valkey is not configured, timed out or refused, or its breaker is open."""


class ValkeyClient:
    """Runs commands with a deadline; an outage of any kind is `ValkeyUnavailable`.

    The first failure opens the breaker, so that a request of many commands pays for one of them; a background
    probe closes it again, so that no request pays for finding out. A cancelled or late command closes its
    connection, so that no reply is left for the next caller.

    An error reply (MISCONF, NOPERM, CROSSSLOT, WRONGTYPE) is `ValkeyUnavailable` as well, but does not open
    the breaker: other commands may still work, and an error reply causes no waiting.
    """

    def __init__(self, url: str, *, deadline: float = DEADLINE_SECONDS) -> None:
        self._deadline = deadline
        self._redis = _connect(url) if url else None
        self._circuit_open = False
        self._probe: asyncio.Task[None] | None = None
        self._warned: dict[str, float] = {}
        self._loop_lag = LoopLagMeter()

    @property
    def configured(self) -> bool:
        return self._redis is not None

    @property
    def available(self) -> bool:
        """Whether a command would be attempted at all."""
        return self._redis is not None and not self._circuit_open

    async def execute(self, *command: str | bytes | int | float) -> Any:
        """Run one command; strings in the reply are bytes."""
        return await self.run(lambda redis: _execute(redis, *command), operation=str(command[0]))

    async def run(
        self,
        work: Callable[[Redis], Awaitable[T]],
        *,
        deadline: float | None = None,
        operation: str = "EVALSHA",
    ) -> T:
        """Run `work` (a pipeline or script) within `deadline` seconds."""
        with span(operation, "client", _SPAN):
            return await self._run(work, deadline)

    async def _run(self, work: Callable[[Redis], Awaitable[T]], deadline: float | None) -> T:
        redis = self._redis
        if redis is None or self._circuit_open:
            raise ValkeyUnavailable
        seconds = deadline or self._deadline
        limit, loop = asyncio.timeout(None), asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = loop.call_at(due, self._expire, limit, self._loop_lag.total_seconds(), seconds)
        try:
            async with limit:
                return await work(redis)
        except ResponseError as error:
            self._log_refusal(error)
            raise ValkeyUnavailable from error
        except _FAILURES as error:
            self._open_circuit(type(error).__name__)
            raise ValkeyUnavailable from error
        finally:
            timer.cancel()

    async def subscribe(self, *channels: str) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """Yield (channel, message) forever.

        Resubscribes after outages and misses messages in between.
        """
        while True:
            try:
                async with aclosing(self.subscribe_once(*channels)) as messages:
                    async for message in messages:
                        yield message
            except ValkeyUnavailable:
                await asyncio.sleep(_RESUBSCRIBE_SECONDS)

    async def subscribe_once(self, *channels: str) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """Yield (channel, message) published from now on, over a dedicated connection.

        Raises:
            ValkeyUnavailable: Valkey is or becomes unreachable; messages published meanwhile are lost.
        """
        if self._redis is None:
            raise ValkeyUnavailable
        async with aclosing(self._redis.pubsub()) as pubsub:
            try:
                async with asyncio.timeout(self._deadline):
                    await pubsub.subscribe(*channels)
                pinged = False
                while True:
                    message = await pubsub.get_message(
                        timeout=_PONG_TIMEOUT_SECONDS if pinged else _PING_AFTER_SECONDS
                    )
                    if message is None and pinged:
                        raise ValkeyUnavailable
                    if message is None:
                        async with asyncio.timeout(self._deadline):
                            await pubsub.ping()
                    elif message["type"] == "message":
                        yield message["channel"], message["data"]
                    pinged = message is None
            except ResponseError as error:
                self._log_refusal(error)
                raise ValkeyUnavailable from error
            except _FAILURES as error:
                raise ValkeyUnavailable from error

    async def ping(self) -> bool:
        """Send PING regardless of the breaker and return whether it was answered."""
        if self._redis is None:
            return False
        try:
            async with asyncio.timeout(self._deadline):
                await _execute(self._redis, "PING")
        except (ResponseError, *_FAILURES):
            return False
        return True

    async def check_state(self) -> health_check.ValkeyState:
        """Run the health check regardless of the breaker."""
        if self._redis is None:
            return "down"
        try:
            async with asyncio.timeout(self._deadline):
                await _execute(self._redis, *health_check.HEALTH_CHECK_COMMAND)
        except ResponseError as error:
            self._log_refusal(error)
            return "refusing"
        except _FAILURES:
            return "down"
        return "up"

    async def aclose(self) -> None:
        self._loop_lag.stop()
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    def _expire(self, limit: asyncio.Timeout, stalled: float, seconds: float) -> None:
        """End `limit`, extended by the lag of this process's event loop meanwhile.

        The extension is at most `seconds`. Replies that arrived while the loop was blocked must be read
        first: the process's own lag is not an outage of Valkey.
        """
        held_up = min(self._loop_lag.total_seconds() - stalled, seconds)
        limit.reschedule(asyncio.get_running_loop().time() + held_up)

    def _log_refusal(self, error: ResponseError) -> None:
        """Log the kind of error reply, but not its text, which may repeat arguments."""
        if isinstance(error, NoScriptError):
            return  # the caller sends the whole script next
        reason, now = health_check.error_code(error), time.monotonic()
        if now - self._warned.get(reason, -_WARN_SECONDS) < _WARN_SECONDS:
            return
        self._warned[reason] = now
        log.warning("valkey.command_refused", reason=reason)

    def _open_circuit(self, reason: str) -> None:
        if self._circuit_open:
            return
        self._circuit_open = True
        log.warning("valkey.unavailable", reason=reason)
        self._probe = asyncio.get_running_loop().create_task(self._close_when_reachable())

    async def _close_when_reachable(self) -> None:
        wait = _PROBE_FIRST
        while True:
            await asyncio.sleep(wait)
            if await self.ping():
                break
            wait = min(wait * 2, _PROBE_MAX)
        self._circuit_open = False
        log.info("valkey.available")


def _execute(redis: Redis, *command: str | bytes | int | float) -> Awaitable[Any]:
    return cast(Awaitable[Any], redis.execute_command(*command))  # type: ignore[no-untyped-call]


def _connect(url: str) -> Redis:
    pool = ConnectionPool.from_url(
        normalize_valkey_url(url),
        max_connections=_MAX_CONNECTIONS,
        # Replaced by the deadline around each command; redis-py's own timeouts would start a task per write.
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )
    return Redis(connection_pool=pool)
