"""What signals mean to `gateway serve` before, while and after uvicorn listens to them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived while nobody else was listening for it."""


def stop_with_parent(parent: int) -> None:
    """`make` that was killed cannot pass a signal on: the system gives us another parent, and we stop."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """While engines start, SIGTERM and SIGHUP interrupt as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if before[number] is not signal.SIG_IGN:  # `nohup`
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def terminal_watcher() -> Callable[[], bool]:
    """Tells whether the terminal that this process belongs to has gone; False where it never had one.

    The system hangs up on all that were started from a terminal when it closes, and says no more.
    """
    if not _has_terminal() or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # `nohup`
        return lambda: False
    return lambda: not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextmanager
def ignore_reraised_signals(terminal_closed: Callable[[], bool]) -> Iterator[None]:
    """uvicorn stops on a signal and then raises it again for whoever was there before: for nobody.

    A hang-up is the application's own matter, unless the terminal has gone.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    hang_up = signal.getsignal(signal.SIGHUP)

    def hear(number: int, frame: FrameType | None) -> None:
        if terminal_closed():
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGHUP, hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGHUP, hang_up)
