"""What the last calls say of an upstream, and which providers do not answer at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NoReturn

import structlog

from gateway.core.exceptions import GatewayError, UpstreamUnauthorized, UpstreamUnavailable
from gateway.domain.breaker import LastError
from gateway.providers.chat.base import ChatProvider
from gateway.providers.chat.reasons import status_and_reason

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
_LAST_CALLS = 20


class LastCalls:
    """How the last calls of one upstream ended, as this worker saw them."""

    __slots__ = ("_failed", "error")

    def __init__(self) -> None:
        self._failed: deque[bool] = deque(maxlen=_LAST_CALLS)
        self.error: LastError | None = None

    def add(self, error: GatewayError | None) -> None:
        self._failed.append(error is not None)
        if error is not None:
            self.note(error)

    def note(self, error: GatewayError) -> None:
        """Keep an error that is no failure of the upstream: it refused the gateway's own question."""
        self.error = LastError(datetime.now(UTC), error.code, *status_and_reason(error))

    @property
    def count(self) -> int:
        return len(self._failed)

    @property
    def failed(self) -> int:
        return sum(self._failed)


class Away:
    """Providers that refused a connection or the gateway's account; checked again until they answer.

    Nothing is checked while all answer.
    """

    def __init__(self, providers: Mapping[str, ChatProvider]) -> None:
        self._providers = providers
        self._names: set[str] = set()
        self._noted = asyncio.Event()

    def __contains__(self, provider: str) -> bool:
        return provider in self._names

    def __bool__(self) -> bool:
        return bool(self._names)

    def suspect(self, *names: str) -> None:
        """Take these for away until a check says otherwise."""
        self._names.update(name for name in names if name in self._providers)
        if self._names:
            self._noted.set()

    def ended(self, provider: str, error: BaseException | None) -> None:
        """Learn from how a call ended."""
        if error is None:
            self._names.discard(provider)
        elif isinstance(error, UpstreamUnauthorized) or _refused(error):
            self.suspect(provider)

    async def look(self) -> None:
        """Check those that are away."""
        names = [name for name in self._names if name in self._providers]
        found = await asyncio.gather(*(self._providers[name].check() for name in names))
        for name, health in zip(names, found, strict=True):
            if health.reachable or health.answers:
                self._names.discard(name)
                log.info("provider.answers_again", upstream=name)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> NoReturn:
        while True:
            await self._noted.wait()
            await self.look()
            if self._names:
                await asyncio.sleep(CHECK_SECONDS)
            else:
                self._noted.clear()


def _refused(error: BaseException) -> bool:
    """Whether nobody listened; an HTTP answer, of whatever status, comes from somebody."""
    return (
        isinstance(error, UpstreamUnavailable)
        and not error.transient
        and error.upstream is not None
        and error.upstream.status is None
    )
