"""Notices that a client has gone to whom nothing is sent: no stream is there that would break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.services.turns import RunningTurn

# A shorter turn is over before anybody looks; only a long one is worth a task that watches.
PATIENCE_SECONDS = 0.5


class Departure:
    """Has a turn called off once `gone` returns; to be closed when the turn has ended."""

    def __init__(self, running: RunningTurn, gone: Callable[[], Awaitable[None]]) -> None:
        self._running = running
        self._gone = gone
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._look)

    def close(self) -> None:
        """Look no longer."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._gone()
        self._running.abandon()
