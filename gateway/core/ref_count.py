"""Reference count of a resource that is closed after its last use."""

from __future__ import annotations

import asyncio


class RefCount:
    """Reference count for one event loop. Pair every `acquire` with a `release`."""

    __slots__ = ("_count", "_zero")

    def __init__(self) -> None:
        self._count = 0
        self._zero: asyncio.Event | None = None

    def acquire(self) -> None:
        self._count += 1

    def release(self) -> None:
        self._count -= 1
        if not self._count and self._zero is not None:
            self._zero.set()

    async def wait_zero(self) -> None:
        """Return once the count is zero.

        `acquire` must not be called after this is awaited.
        """
        if self._count:
            self._zero = asyncio.Event()
            await self._zero.wait()
