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
from gateway.cache.response_cache import Looked, ResponseCache
from gateway.domain.cached_answer import CachedAnswer
from gateway.domain.events import CacheResult

# Pauses between two looks at what another worker is making, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
# After so many leaders that failed, who still waits is better off on its own.
_MOST_FAILURES = 5


class Outcome(Enum):
    """How a call ended that others cannot share: `FAILED`, so the next one may try, or `UNSHARED`."""

    FAILED = auto()
    UNSHARED = auto()


@dataclass(frozen=True, slots=True)
class Shared:
    """An answer for all who wait, and what to call it; `details` are for their receipts.

    `keep` is whether the exact cache is to have it.
    """

    answer: CachedAnswer
    result: CacheResult = "hit"
    details: dict[str, Any] = field(default_factory=dict)
    keep: bool = True


Landed = Shared | Outcome


class Flights:
    """The calls that this worker leads or waits for; across workers by leases in Valkey.

    Without Valkey each worker makes its own call, and nothing is kept.
    """

    def __init__(self, responses: ResponseCache) -> None:
        self._responses = responses
        self._flights: dict[bytes, asyncio.Future[Landed]] = {}
        self._writing: set[asyncio.Task[None]] = set()
        self._leaders: dict[asyncio.Task[Any] | None, bytes] = {}
        self._waiting: Counter[bytes] = Counter()

    def awaited(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether this task makes a call that others of this worker wait for: it had better end it."""
        key = self._leaders.get(task)
        return key is not None and self._waiting[key] > 0

    async def fly(
        self, account: UUID, key: bytes, ask: Callable[[], Awaitable[Landed]], *, patience: float
    ) -> Shared | None:
        """The answer of another's call or of the cache; None where `ask` was called, by this caller itself.

        Args:
            ask: makes the call and says what others may have of it.
            patience: seconds to wait for others at most; then `ask` is called in any case.
        """
        deadline = asyncio.get_running_loop().time() + patience
        for _ in range(_MOST_FAILURES):
            landing = self._flights.get(key)
            if landing is None:
                return await self._lead(account, key, ask, deadline)
            await self._land_in_time(key, landing, deadline)
            landed = landing.result() if landing.done() else Outcome.UNSHARED
            if isinstance(landed, Shared):
                return landed
            if landed is Outcome.UNSHARED:
                break
        await ask()
        return None

    async def _land_in_time(self, key: bytes, landing: asyncio.Future[Landed], deadline: float) -> None:
        self._waiting[key] += 1
        try:
            await asyncio.wait({landing}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def aclose(self) -> None:
        """Finish writing what was to be kept."""
        while self._writing:
            await asyncio.wait(self._writing)

    async def _lead(
        self, account: UUID, key: bytes, ask: Callable[[], Awaitable[Landed]], deadline: float
    ) -> Shared | None:
        landing: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        self._flights[key] = landing
        me = asyncio.current_task()
        self._leaders[me] = key
        holder = secrets.token_bytes(12)
        landed: Landed = Outcome.FAILED
        # A look that is cancelled may have taken the lease all the same.
        looked: Looked | None = Looked(leads=True)
        try:
            looked = await self._look(account, key, holder, deadline)
            kept = CachedAnswer.from_bytes(looked.answer) if looked is not None and looked.answer else None
            if kept is not None:
                landed = Shared(kept, keep=False)
                return landed
            async with self._renewing(key, holder, leads=looked is not None and looked.leads):
                landed = await ask()
            return None
        finally:
            self._leaders.pop(me, None)
            # Whoever waits goes on now, however this ended; what is left to write is written beside it.
            landing.set_result(landed)
            data = landed.answer.to_bytes() if isinstance(landed, Shared) and landed.keep else None
            if data is None or looked is None:
                self._forget(key, landing)
            if looked is not None and (looked.leads or data is not None):
                self._beside(self._land(account, key, holder, landing, data))

    async def _look(self, account: UUID, key: bytes, holder: bytes, deadline: float) -> Looked | None:
        """What Valkey has, waiting while another worker makes it; None where Valkey is away."""
        pause = _FIRST_PAUSE
        loop = asyncio.get_running_loop()
        try:
            while True:
                looked = await self._responses.look(account, key, holder)
                left = deadline - loop.time()
                if looked.leads or looked.answer is not None or left <= 0:
                    return looked
                await asyncio.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
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
                if not await self._responses.renew(key, holder):
                    return

    async def _land(
        self, account: UUID, key: bytes, holder: bytes, landing: asyncio.Future[Landed], data: bytes | None
    ) -> None:
        """Keep the answer or let the next one try; until it is kept, this worker answers from the flight."""
        try:
            if data is None:
                await self._responses.give_back(key, holder)
            else:
                await self._responses.keep(account, key, holder, data)
        except ValkeyUnavailable:
            return  # the lease runs out by itself
        finally:
            self._forget(key, landing)

    def _forget(self, key: bytes, landing: asyncio.Future[Landed]) -> None:
        if self._flights.get(key) is landing:
            del self._flights[key]

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
