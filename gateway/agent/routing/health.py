"""Health of upstreams: results of recent calls, and unreachable providers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NoReturn

import structlog

from gateway.core.exceptions import GatewayError, UpstreamUnauthorized, UpstreamUnavailable
from gateway.domain.circuit_breaker import LastError
from gateway.providers.base import Provider
from gateway.providers.errors.reason import status_and_reason

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
_RECENT_CALLS = 20


class RecentCalls:
    """Results of the last calls of one upstream in this worker."""

    __slots__ = ("_outcomes", "last_error")

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=_RECENT_CALLS)
        self.last_error: LastError | None = None

    def record(self, error: GatewayError | None) -> None:
        self._outcomes.append(error is not None)
        if error is not None:
            self.record_error(error)

    def record_error(self, error: GatewayError) -> None:
        """Record an error that is not the upstream's fault, such as a rejected parameter."""
        self.last_error = LastError(datetime.now(UTC), error.code, *status_and_reason(error))

    @property
    def count(self) -> int:
        return len(self._outcomes)

    @property
    def failed_count(self) -> int:
        return sum(self._outcomes)


class UnreachableProviders:
    """Providers that refused a connection or the credentials.

    They are checked periodically until they respond; nothing is checked while all are reachable.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._names: set[str] = set()
        self._has_unreachable = asyncio.Event()

    def __contains__(self, provider: str) -> bool:
        return provider in self._names

    def __bool__(self) -> bool:
        return bool(self._names)

    def mark(self, *names: str) -> None:
        """Mark providers as unreachable until a check succeeds."""
        self._names.update(name for name in names if name in self._providers)
        if self._names:
            self._has_unreachable.set()

    def record(self, provider: str, error: BaseException | None) -> None:
        """Update the state from the result of a call."""
        if error is None:
            self._names.discard(provider)
        elif isinstance(error, UpstreamUnauthorized) or _connection_refused(error):
            self.mark(provider)

    async def check(self) -> None:
        """Check the unreachable providers."""
        names = [name for name in self._names if name in self._providers]
        results = await asyncio.gather(*(self._providers[name].check_health() for name in names))
        for name, health in zip(names, results, strict=True):
            if health.reachable or health.responded:
                self._names.discard(name)
                log.info("provider.reachable", upstream=name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._check_until_reachable())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _check_until_reachable(self) -> NoReturn:
        while True:
            await self._has_unreachable.wait()
            await self.check()
            if self._names:
                await asyncio.sleep(CHECK_SECONDS)
            else:
                self._has_unreachable.clear()


def _connection_refused(error: BaseException) -> bool:
    """Whether the connection failed; any HTTP response means that it did not."""
    return (
        isinstance(error, UpstreamUnavailable)
        and not error.transient
        and error.upstream_reply is not None
        and error.upstream_reply.status is None
    )
