"""Child processes of the benchmark: pinned to cores, and always terminated by pid."""

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
    """A process in its own group, with its output in a file; as a context manager it ends the group."""

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
                cwd=log.parent,  # not the caller's directory, which may have a `.env`
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
        """Raise SystemExit with the end of its output if the process has ended."""
        if self.process.poll() is not None:
            tail = "\n".join(self.output().splitlines()[-15:])
            raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{tail}")

    def wait_for_line(self, start: str, seconds: float) -> str:
        """Return the rest of the first output line that starts with `start`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.output().splitlines():
                if line.strip().startswith(start):
                    return line.strip()[len(start) :].strip()
            self.require_alive()
            time.sleep(0.05)
        tail = "\n".join(self.output().splitlines()[-15:])
        raise SystemExit(f"{self.name} did not print {start!r} within {seconds:.0f} s:\n{tail}")

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL to the remaining processes of the group."""
        processes = machine.process_tree(self.pid) if self.process.poll() is None else []
        start_times = {pid: machine.start_time(pid) for pid in processes[1:]}
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(self._deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, started in start_times.items():
            if started and machine.start_time(pid) == started:  # the pid may have been reused
                os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
