"""Single flight: one call serves all concurrent identical requests.

If the call fails, the next request makes it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from uuid import UUID

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.response_cache import CacheLookup, ResponseCache
from gateway.core.aio import BackgroundTasks
from gateway.domain.caching.answer import CachedAnswer
from gateway.domain.events import CacheResult

# Pauses between two polls of another worker's call, in seconds.
_FIRST_PAUSE, _MAX_PAUSE = 0.01, 0.25
# After this many failed leaders a waiter makes its own call.
_MAX_LEADER_FAILURES = 5


class NotShared(Enum):
    """Why a call has no answer for other requests.

    After `FAILED` the next request makes the call. `NOT_SHAREABLE`: the answer must not be shared.
    """

    FAILED = auto()
    NOT_SHAREABLE = auto()


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """An answer for all waiters, and the cache result to report.

    `details` go into their receipts. `store` is whether to write it to the exact cache.
    """

    answer: CachedAnswer
    result: CacheResult = "hit"
    details: dict[str, Any] = field(default_factory=dict)
    store: bool = True


FlightResult = SharedAnswer | NotShared


class SingleFlight:
    """The calls that this worker makes or waits for.

    A lease in Valkey decides which worker makes a call. Without Valkey each worker makes its own call, and
    nothing is stored.
    """

    def __init__(self, responses: ResponseCache) -> None:
        self._responses = responses
        self._in_flight: dict[bytes, asyncio.Future[FlightResult]] = {}
        self._background = BackgroundTasks()
        self._leader_keys: dict[asyncio.Task[Any] | None, bytes] = {}
        self._waiters: Counter[bytes] = Counter()

    @property
    def waiting(self) -> int:
        """How many requests of this worker wait for the call of another."""
        return self._waiters.total()

    def has_waiters(self, task: asyncio.Task[Any] | None) -> bool:
        """Return whether other requests of this worker wait for this task's call."""
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
        """Return an answer from another call or from the cache.

        Return None if this request made `call` itself.

        Args:
            call: makes the call and returns the answer to share.
            max_wait_seconds: how long to wait for other calls before making `call`.
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

    async def aclose(self) -> None:
        """Wait until pending answers are stored."""
        await self._background.drain()

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

    async def _lead(
        self, account_id: UUID, key: bytes, call: Callable[[], Awaitable[FlightResult]], deadline: float
    ) -> SharedAnswer | None:
        future: asyncio.Future[FlightResult] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        task = asyncio.current_task()
        self._leader_keys[task] = key
        holder = secrets.token_bytes(12)
        result: FlightResult = NotShared.FAILED
        # A cancelled lookup may have acquired the lease.
        lookup: CacheLookup | None = CacheLookup(has_lease=True)
        try:
            lookup = await self._lookup(account_id, key, holder, deadline)
            data = lookup.answer if lookup is not None else None
            cached = CachedAnswer.from_bytes(data) if data else None
            if cached is not None:
                result = SharedAnswer(cached, store=False)
                return result
            async with self._renewing(key, holder, has_lease=lookup is not None and lookup.has_lease):
                result = await call()
            return None
        finally:
            self._leader_keys.pop(task, None)
            # Waiters continue now, however this ended; storing happens in the background.
            future.set_result(result)
            data = result.answer.to_bytes() if isinstance(result, SharedAnswer) and result.store else None
            if data is None or lookup is None:
                self._forget(key, future)
            if lookup is not None and (lookup.has_lease or data is not None):
                self._background.spawn(self._store(account_id, key, holder, future, data))

    async def _lookup(
        self, account_id: UUID, key: bytes, holder: bytes, deadline: float
    ) -> CacheLookup | None:
        """Return the cached answer or the lease, after waiting for another worker's call.

        Return None without Valkey.
        """
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
    async def _renewing(self, key: bytes, holder: bytes, *, has_lease: bool) -> AsyncIterator[None]:
        if not has_lease:
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
        """Store the result, or release the lease.

        Until it is stored, requests of this worker share the future.
        """
        try:
            if data is None:
                await self._responses.release(key, holder)
            else:
                await self._responses.store(account_id, key, holder, data)
        except ValkeyUnavailable:
            return  # the lease expires
        finally:
            self._forget(key, future)

    def _forget(self, key: bytes, future: asyncio.Future[FlightResult]) -> None:
        if self._in_flight.get(key) is future:
            del self._in_flight[key]
