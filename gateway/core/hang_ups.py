"""SIGHUP as a call of a coroutine; a signal that arrives too early is kept."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class HangUps:
    """Starts `act` for each SIGHUP. Earlier signals count as one, which `begin` acts on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._act: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._kept = False
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Act from now on."""
        self._act = act
        if self._kept:
            self._start()

    def heard(self) -> None:
        """A signal arrived; called in a signal handler."""
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self._act is None:
            self._kept = True
            return
        task = self._loop.create_task(self._act())
        self._running.add(task)
        task.add_done_callback(self._running.discard)


@contextmanager
def hearing_hang_ups() -> Iterator[HangUps]:
    """Hear SIGHUP until the block ends. The handler that was there before is called first, and comes back.

    Outside the main thread nothing is heard: Python sets signal handlers only there.
    """
    hang_ups = HangUps()
    before = signal.getsignal(signal.SIGHUP)

    def handle(number: int, frame: FrameType | None) -> None:
        if callable(before):
            before(number, frame)
        hang_ups.heard()

    try:
        signal.signal(signal.SIGHUP, handle)
    except ValueError:
        yield hang_ups
        return
    try:
        yield hang_ups
    finally:
        signal.signal(signal.SIGHUP, before)
