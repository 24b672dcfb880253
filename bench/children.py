"""Child processes of the bench: pinned from their first thread, ended by pid whatever happens."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from bench import machine

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A process in a group of its own, its output in a file; a context manager that ends the whole group."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        cores: frozenset[int],
        log: Path,
        env: Mapping[str, str],
    ) -> None:
        self.name = name
        self.log = log
        self._deadline = 10.0
        parent = os.getpid()

        def before_exec() -> None:
            os.sched_setaffinity(0, cores)
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,  # a `.env` of the caller's directory is none of ours
                env=dict(env),
                preexec_fn=before_exec,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def require_alive(self) -> None:
        """SystemExit with the end of its output if the process has gone."""
        if self.process.poll() is not None:
            tail = "\n".join(self.output().splitlines()[-15:])
            raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{tail}")

    def wait_for_line(self, start: str, seconds: float) -> str:
        """The rest of the first output line that begins with `start`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.output().splitlines():
                if line.strip().startswith(start):
                    return line.strip()[len(start) :].strip()
            self.require_alive()
            time.sleep(0.05)
        tail = "\n".join(self.output().splitlines()[-15:])
        raise SystemExit(f"{self.name} did not say {start!r} within {seconds:.0f} s:\n{tail}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left of the group."""
        everyone = machine.family(self.pid) if self.process.poll() is None else []
        born = {pid: machine.started(pid) for pid in everyone[1:]}
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(self._deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, when in born.items():
            if when and machine.started(pid) == when:  # the number could be another process's by now
                os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
