"""Detects a client disconnect while no response bytes are being sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.services.execution.turn_tasks import TurnTask

# Most turns are over by then; only a long one is worth a task that watches its connection.
WATCH_AFTER_SECONDS = 0.5


class DisconnectWatcher:
    """Cancels a turn once `disconnected` returns.

    Call `close` when the turn has ended.
    """

    def __init__(self, turn_task: TurnTask, disconnected: Callable[[], Awaitable[None]]) -> None:
        self._turn_task = turn_task
        self._disconnected = disconnected
        self._watching: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._start_watching)

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _start_watching(self) -> None:
        self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._disconnected()
        self._turn_task.on_client_disconnect()
