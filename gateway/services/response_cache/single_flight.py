"""One call for all who ask the same at once: one leads, the others wait and take over where it fails."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from uuid import UUID

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.response_cache import CacheLookup, ResponseCache
from gateway.domain.caching.answer import CachedAnswer
from gateway.domain.events import CacheResult

# Pauses between two looks at what another worker is making, in seconds.
_FIRST_PAUSE, _MAX_PAUSE = 0.01, 0.25
# After so many leaders that failed, who still waits is better off on its own.
_MAX_LEADER_FAILURES = 5


class NotShared(Enum):
    """How a call ended that others cannot share: `FAILED`, so the next one may try, or `UNSHARED`."""

    FAILED = auto()
    NOT_SHAREABLE = auto()


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """An answer for all who wait, and what to call it; `details` are for their receipts.

    `keep` is whether the exact cache is to have it.
    """

    answer: CachedAnswer
    result: CacheResult = "hit"
    details: dict[str, Any] = field(default_factory=dict)
    store: bool = True


FlightResult = SharedAnswer | NotShared


class SingleFlight:
    """The calls that this worker leads or waits for; across workers by leases in Valkey.

    Without Valkey each worker makes its own call, and nothing is kept.
    """

    def __init__(self, responses: ResponseCache) -> None:
        self._responses = responses
        self._in_flight: dict[bytes, asyncio.Future[FlightResult]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._leader_keys: dict[asyncio.Task[Any] | None, bytes] = {}
        self._waiters: Counter[bytes] = Counter()

    def has_waiters(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether this task makes a call that others of this worker wait for: it had better end it."""
        key = self._leader_keys.get(task)
        return key is not None and self._waiters[key] > 0

    async def run(
        self,
        account_id: UUID,
        key: bytes,
        call: Callable[[], Awaitable[FlightResult]],
        *,
        max_wait_seconds: float,
    ) -> SharedAnswer | None:
        """The answer of another's call or of the cache; None where `ask` was called, by this caller itself.

        Args:
            ask: makes the call and says what others may have of it.
            patience: seconds to wait for others at most; then `ask` is called in any case.
        """
        deadline = asyncio.get_running_loop().time() + max_wait_seconds
        for _ in range(_MAX_LEADER_FAILURES):
            leader = self._in_flight.get(key)
            if leader is None:
                return await self._lead(account_id, key, call, deadline)
            await self._wait_for_leader(key, leader, deadline)
            result = leader.result() if leader.done() else NotShared.NOT_SHAREABLE
            if isinstance(result, SharedAnswer):
                return result
            if result is NotShared.NOT_SHAREABLE:
                break
        await call()
        return None

    async def _wait_for_leader(
        self, key: bytes, leader: asyncio.Future[FlightResult], deadline: float
    ) -> None:
        self._waiters[key] += 1
        try:
            await asyncio.wait({leader}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        finally:
            self._waiters[key] -= 1
            if not self._waiters[key]:
                del self._waiters[key]

    async def aclose(self) -> None:
        """Finish writing what was to be kept."""
        while self._background:
            await asyncio.wait(self._background)

    async def _lead(
        self, account_id: UUID, key: bytes, call: Callable[[], Awaitable[FlightResult]], deadline: float
    ) -> SharedAnswer | None:
        future: asyncio.Future[FlightResult] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        me = asyncio.current_task()
        self._leader_keys[me] = key
        holder = secrets.token_bytes(12)
        result: FlightResult = NotShared.FAILED
        # A look that is cancelled may have taken the lease all the same.
        lookup: CacheLookup | None = CacheLookup(has_lease=True)
        try:
            lookup = await self._lookup(account_id, key, holder, deadline)
            cached = CachedAnswer.from_bytes(lookup.answer) if lookup is not None and lookup.answer else None
            if cached is not None:
                result = SharedAnswer(cached, store=False)
                return result
            async with self._renewing(key, holder, leads=lookup is not None and lookup.has_lease):
                result = await call()
            return None
        finally:
            self._leader_keys.pop(me, None)
            # Whoever waits goes on now, however this ended; what is left to write is written beside it.
            future.set_result(result)
            data = result.answer.to_bytes() if isinstance(result, SharedAnswer) and result.store else None
            if data is None or lookup is None:
                self._forget(key, future)
            if lookup is not None and (lookup.has_lease or data is not None):
                self._spawn(self._store(account_id, key, holder, future, data))

    async def _lookup(
        self, account_id: UUID, key: bytes, holder: bytes, deadline: float
    ) -> CacheLookup | None:
        """What Valkey has, waiting while another worker makes it; None where Valkey is away."""
        pause = _FIRST_PAUSE
        loop = asyncio.get_running_loop()
        try:
            while True:
                lookup = await self._responses.get_or_lease(account_id, key, holder)
                remaining = deadline - loop.time()
                if lookup.has_lease or lookup.answer is not None or remaining <= 0:
                    return lookup
                await asyncio.sleep(min(pause, remaining))
                pause = min(2 * pause, _MAX_PAUSE)
        except ValkeyUnavailable:
            return None

    @asynccontextmanager
    async def _renewing(self, key: bytes, holder: bytes, *, leads: bool) -> AsyncIterator[None]:
        if not leads:
            yield
            return
        task = asyncio.create_task(self._renew(key, holder))
        try:
            yield
        finally:
            task.cancel()

    async def _renew(self, key: bytes, holder: bytes) -> None:
        while True:
            await asyncio.sleep(self._responses.lease_ms / 3000)
            with suppress(ValkeyUnavailable):
                if not await self._responses.renew_lease(key, holder):
                    return

    async def _store(
        self,
        account_id: UUID,
        key: bytes,
        holder: bytes,
        future: asyncio.Future[FlightResult],
        data: bytes | None,
    ) -> None:
        """Keep the answer or let the next one try; until it is kept, this worker answers from the flight."""
        try:
            if data is None:
                await self._responses.release(key, holder)
            else:
                await self._responses.store(account_id, key, holder, data)
        except ValkeyUnavailable:
            return  # the lease runs out by itself
        finally:
            self._forget(key, future)

    def _forget(self, key: bytes, future: asyncio.Future[FlightResult]) -> None:
        if self._in_flight.get(key) is future:
            del self._in_flight[key]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
