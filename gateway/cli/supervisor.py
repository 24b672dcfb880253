"""The process that stands over several workers."""

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
    """uvicorn's, but a hang-up is passed on to the workers, which read the provider configuration anew.

    uvicorn would replace them one by one, and cut every stream that is older than its patience.
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
        """The workers have the listener as well; what only this process held open nobody would answer."""
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
