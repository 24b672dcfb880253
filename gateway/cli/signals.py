"""Signal handling of `gateway serve` before, during and after uvicorn's own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived while nothing else handled it."""


def stop_with_parent(parent: int) -> None:
    """Stop when the parent ends, because a killed `make` cannot forward signals."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt the start of the engines like Ctrl-C."""

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
    """Return a function that tells whether the controlling terminal was closed.

    It always returns False for a process without a terminal. When a terminal closes, the system only sends
    SIGHUP.
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
    """Ignore signals that uvicorn raises again after it has stopped.

    SIGHUP is left to the application, unless the terminal was closed.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    hang_up = signal.getsignal(signal.SIGHUP)

    def on_sighup(number: int, frame: FrameType | None) -> None:
        if terminal_closed():
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGHUP, on_sighup)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGHUP, hang_up)
