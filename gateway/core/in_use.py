"""Counts who still uses a thing that is to be closed."""

from __future__ import annotations

import asyncio


class InUse:
    """Of one event loop. Whoever takes the thing gives it back; `unused` waits until all have."""

    __slots__ = ("_count", "_idle")

    def __init__(self) -> None:
        self._count = 0
        self._idle: asyncio.Event | None = None

    def take(self) -> None:
        self._count += 1

    def give_back(self) -> None:
        self._count -= 1
        if not self._count and self._idle is not None:
            self._idle.set()

    async def unused(self) -> None:
        """Returns once nobody has it; nobody may take it any more while this waits."""
        if self._count:
            self._idle = asyncio.Event()
            await self._idle.wait()
