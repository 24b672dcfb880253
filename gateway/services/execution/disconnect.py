"""Notices that a client has gone to whom nothing is sent: no stream is there that would break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.services.execution.turn_tasks import TurnTask

# A shorter turn is over before anybody looks; only a long one is worth a task that watches.
WATCH_AFTER_SECONDS = 0.5


class DisconnectWatcher:
    """Has a turn called off once `gone` returns; to be closed when the turn has ended."""

    def __init__(self, turn_task: TurnTask, disconnected: Callable[[], Awaitable[None]]) -> None:
        self._turn_task = turn_task
        self._disconnected = disconnected
        self._watching: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._start_watching)

    def close(self) -> None:
        """Look no longer."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _start_watching(self) -> None:
        self._watching = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._disconnected()
        self._turn_task.on_client_disconnect()
