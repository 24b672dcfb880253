"""Counts who still uses a thing that is to be closed."""

from __future__ import annotations

import asyncio


class RefCount:
    """Of one event loop. Whoever takes the thing gives it back; `unused` waits until all have."""

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
        """Returns once nobody has it; nobody may take it any more while this waits."""
        if self._count:
            self._zero = asyncio.Event()
            await self._zero.wait()
