"""Places for runs of code: a few at once, given to the accounts in turn."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class FairLimiter:
    """At most `count` at once.

    A place that comes free goes to the account that has the fewest, and of equals to the one that was served
    longest ago: one account cannot keep the others out, however many runs it asks for.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._used: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, account: str, seconds: float) -> None:
        """Wait for a place; TimeoutError where none came free in time."""
        if self._free and not self._waiting:
            self._grant(account)
            return
        permit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(permit)
        self._grant_waiting()
        try:
            async with asyncio.timeout(seconds):
                await permit
        except BaseException:
            if permit.done() and not permit.cancelled():
                self.release(account)  # it came in the very moment
            else:
                self._remove_waiter(account, permit)
            raise

    def release(self, account: str) -> None:
        """Give a place back."""
        self._free += 1
        self._used[account] -= 1
        if self._used[account] <= 0:
            del self._used[account]
        self._grant_waiting()

    def waiting(self, account: str) -> int:
        """How many of the account wait."""
        return len(self._waiting.get(account, ()))

    def _grant(self, account: str) -> None:
        self._free -= 1
        self._used[account] += 1

    def _grant_waiting(self) -> None:
        while self._free and self._waiting:
            # Who has the fewest places comes first; of equals, who was served longest ago.
            account = min(self._waiting, key=lambda name: self._used[name])
            queue = self._waiting.pop(account)
            permit = queue.popleft()
            if queue:
                self._waiting[account] = queue  # behind the others now
            if not permit.done():
                self._grant(account)
                permit.set_result(None)

    def _remove_waiter(self, account: str, permit: asyncio.Future[None]) -> None:
        queue = self._waiting.get(account)
        if queue is not None and permit in queue:
            queue.remove(permit)
            if not queue:
                del self._waiting[account]
