"""Supervisor process of several workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from uvicorn import Config
from uvicorn.supervisors.multiprocess import Multiprocess

from gateway.services.operations.config_reload import SUPERVISOR_PID_ENV


class Supervisor(Multiprocess):
    """uvicorn's supervisor, but SIGHUP is forwarded to the workers as a reload.

    uvicorn would restart them one by one and close every stream that outlives its grace period.
    """

    def __init__(self, config: Config, sockets: list[socket], terminal_closed: Callable[[], bool]) -> None:
        super().__init__(config, sockets)
        self._terminal_closed = terminal_closed
        os.environ[SUPERVISOR_PID_ENV] = str(os.getpid())

    def handle_int(self) -> None:
        self._close_listener()
        super().handle_int()

    def handle_term(self) -> None:
        self._close_listener()
        super().handle_term()

    def _close_listener(self) -> None:
        """Close this process's copy of the listener, which nothing accepts from."""
        for listener in self.sockets:
            listener.close()

    def handle_hup(self) -> None:
        if self._terminal_closed():
            self.handle_term()
            return
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)
