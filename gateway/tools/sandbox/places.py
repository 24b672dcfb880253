"""Places for runs of code: a few at once, given to the accounts in turn."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class Places:
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
            self._take(account)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(place)
        self._serve()
        try:
            async with asyncio.timeout(seconds):
                await place
        except BaseException:
            if place.done() and not place.cancelled():
                self.release(account)  # it came in the very moment
            else:
                self._forget(account, place)
            raise

    def release(self, account: str) -> None:
        """Give a place back."""
        self._free += 1
        self._used[account] -= 1
        if self._used[account] <= 0:
            del self._used[account]
        self._serve()

    def waiting(self, account: str) -> int:
        """How many of the account wait."""
        return len(self._waiting.get(account, ()))

    def _take(self, account: str) -> None:
        self._free -= 1
        self._used[account] += 1

    def _serve(self) -> None:
        while self._free and self._waiting:
            # Who has the fewest places comes first; of equals, who was served longest ago.
            account = min(self._waiting, key=lambda name: self._used[name])
            queue = self._waiting.pop(account)
            place = queue.popleft()
            if queue:
                self._waiting[account] = queue  # behind the others now
            if not place.done():
                self._take(account)
                place.set_result(None)

    def _forget(self, account: str, place: asyncio.Future[None]) -> None:
        queue = self._waiting.get(account)
        if queue is not None and place in queue:
            queue.remove(place)
            if not queue:
                del self._waiting[account]
