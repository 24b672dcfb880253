"""Limits concurrent runs of code, fairly between accounts."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class FairLimiter:
    """Grants at most `count` permits at a time.

    A released permit goes to the waiting account with the fewest permits, and among equals to the one that
    was served longest ago. So one account cannot block the others, however many runs it requests.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._used: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, account: str, seconds: float) -> None:
        """Wait for a permit; raises TimeoutError if there is none in time."""
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
                self.release(account)  # it was granted at the same moment
            else:
                self._remove_waiter(account, permit)
            raise

    def release(self, account: str) -> None:
        """Release a permit."""
        self._free += 1
        self._used[account] -= 1
        if self._used[account] <= 0:
            del self._used[account]
        self._grant_waiting()

    def waiting(self, account: str) -> int:
        """Return how many runs of the account are waiting."""
        return len(self._waiting.get(account, ()))

    def _grant(self, account: str) -> None:
        self._free -= 1
        self._used[account] += 1

    def _grant_waiting(self) -> None:
        while self._free and self._waiting:
            # Fewest permits first; the order of `_waiting` decides between equals.
            account = min(self._waiting, key=lambda name: self._used[name])
            queue = self._waiting.pop(account)
            permit = queue.popleft()
            if queue:
                self._waiting[account] = queue  # to the end of the order
            if not permit.done():
                self._grant(account)
                permit.set_result(None)

    def _remove_waiter(self, account: str, permit: asyncio.Future[None]) -> None:
        queue = self._waiting.get(account)
        if queue is not None and permit in queue:
            queue.remove(permit)
            if not queue:
                del self._waiting[account]
