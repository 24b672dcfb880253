"""One engine under its supervisor: start, wait until ready, stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.core.security.process_environment import without_secrets
from gateway.embedded import supervisor
from gateway.embedded.errors import EngineError

START_TIMEOUT_SECONDS: Final = 60.0
LOG_TAIL_BYTES: Final = 600
# An engine that became ready or lived this long counts as started: if it dies later, it is restarted.
SETTLED_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """How to run one engine.

    Attributes:
        name: how messages name it.
        stop_signal: the signal for an orderly shutdown, which may take `grace_seconds`.
        drop_root: how to run it without root (`supervisor.drop_root`); empty: as the current user.
        settled_seconds: after living this long it is restarted if it dies.
        inherited_fds: file descriptors that the supervisor keeps open until the engine has ended.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    log: Path
    stop_signal: signal.Signals
    grace_seconds: float
    drop_root: str = ""
    settled_seconds: float = SETTLED_SECONDS
    inherited_fds: Sequence[int] = ()

    def to_json(self) -> str:
        """Serialize what the supervisor process needs."""
        return json.dumps(
            {
                "argv": list(self.argv),
                "cwd": str(self.cwd),
                "stop_signal": int(self.stop_signal),
                "grace_seconds": self.grace_seconds,
                "drop_root": self.drop_root,
                "settled_seconds": self.settled_seconds,
            }
        )


class Engine:
    """A child process that ends with this process, however this process ends."""

    def __init__(self, spec: EngineSpec) -> None:
        self.name = spec.name
        self.log = spec.log
        self._grace_seconds = spec.grace_seconds
        with spec.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own script and engine
                [sys.executable, "-I", "-S", supervisor.__file__, spec.to_json()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Ctrl-C in the terminal goes to the gateway, which then stops the engine.
                start_new_session=True,
                pass_fds=tuple(spec.inherited_fds),
                env=without_secrets(os.environ),
            )

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float = START_TIMEOUT_SECONDS) -> None:
        """Block until `ready()` is true.

        Raises EngineError with the end of the log if it dies.
        """
        deadline = time.monotonic() + timeout
        pause = 0.005
        while not ready():
            if not self.is_alive:
                raise EngineError(
                    f"{self.name} ended while starting; the end of {self.log}: {self._log_tail()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise EngineError(f"{self.name} was not ready in {timeout:.0f} s; its log is {self.log}.")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        self._notify_ready()

    def _notify_ready(self) -> None:
        """Tell the supervisor that the engine has started, and may be restarted."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        try:
            stdin.write(b"r")
            stdin.flush()
        except BrokenPipeError:
            raise EngineError(f"{self.name} ended while starting; its log is {self.log}.") from None

    def request_stop(self) -> None:
        """Start an orderly shutdown without waiting for it."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()

    def stop(self) -> None:
        """Stop the engine and wait until it has ended. Safe to repeat."""
        self.request_stop()
        try:
            self._process.wait(self._grace_seconds + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _log_tail(self) -> str:
        with self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip() or "(empty)"


class EngineServer:
    """Base class of engines: a child process that exists between `start` and `stop`."""

    def __init__(self) -> None:
        self.engine: Engine | None = None

    def request_stop(self) -> None:
        """Start an orderly shutdown without waiting for it."""
        if self.engine is not None:
            self.engine.request_stop()

    def stop(self) -> None:
        """Shut the engine down and wait until it has ended. Safe to repeat."""
        if self.engine is not None:
            self.engine.stop()
            self.engine = None
