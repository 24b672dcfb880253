"""Runs a coroutine for every SIGHUP.

Signals that arrive before `start` are remembered.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class SighupHandler:
    """Calls a coroutine function for each SIGHUP.

    Signals before `start` count as one.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._pending = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, callback: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `callback` for each signal from now on, and once for earlier signals."""
        self._callback = callback
        if self._pending:
            self._run_callback()

    def on_signal(self) -> None:
        """Schedule the callback. Called from a signal handler."""
        self._loop.call_soon_threadsafe(self._run_callback)

    def _run_callback(self) -> None:
        if self._callback is None:
            self._pending = True
            return
        task = self._loop.create_task(self._callback())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextmanager
def handle_sighup() -> Iterator[SighupHandler]:
    """Handle SIGHUP inside the block.

    The previous handler runs first and is restored.

    Outside the main thread nothing is handled, because Python sets signal handlers only there.
    """
    handler = SighupHandler()
    previous = signal.getsignal(signal.SIGHUP)

    def handle(number: int, frame: FrameType | None) -> None:
        if callable(previous):
            previous(number, frame)
        handler.on_signal()

    try:
        signal.signal(signal.SIGHUP, handle)
    except ValueError:
        yield handler
        return
    try:
        yield handler
    finally:
        signal.signal(signal.SIGHUP, previous)
