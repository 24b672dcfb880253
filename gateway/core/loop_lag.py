"""Measures how long this process blocked its own event loop.

Deadlines subtract this time, because a server is not to blame for replies that could not be read yet.
"""

from __future__ import annotations

import asyncio

_TICK_SECONDS = 0.02


class LoopLagMeter:
    """Adds up how late a periodic timer fires. Starts with the first reading."""

    def __init__(self) -> None:
        self._total = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def total_seconds(self) -> float:
        """Return the total lag since the first reading, including a current delay."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._loop is not loop:
            self._schedule(loop)
        return self._total + max(0.0, loop.time() - self._due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._total += max(0.0, loop.time() - self._due)
        self._schedule(loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = loop.time() + _TICK_SECONDS
        self._timer = loop.call_at(self._due, self._tick, loop)
