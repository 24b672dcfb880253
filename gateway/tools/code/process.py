"""Runs code in one process.

Starts it, reads its output within limits, kills and reaps it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.tools.code.limits import MAX_STREAM_BYTES

EndReason = Literal["exited", "time", "output", "cancelled"]

_NICENESS = 10  # the gateway itself has priority
_REAP_SECONDS = 1.0
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """The output of a finished run (each stream truncated at its limit) and why it ended.

    `returncode` is negative for a signal, as in `subprocess`; bwrap returns 128 + the signal instead.
    """

    stdout: bytes
    stderr: bytes
    returncode: int
    end_reason: EndReason


class SandboxProcess:
    """One run of code. `run_to_end` blocks its thread.

    `cancel` may be called from any other thread.

    `command` returns the arguments to execute, given a file descriptor with the code. It is an anonymous
    file, so that the code is neither on disk nor in the process list.
    """

    def __init__(self, command: Callable[[int], list[str]], wall_seconds: float, code: bytes) -> None:
        self._command = command
        self._wall_seconds = wall_seconds
        self._code = code
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._finished = False

    def cancel(self) -> None:
        """Kill the process; does nothing if it has ended."""
        with self._lock:
            if not self._finished:
                os.eventfd_write(self._wake, 1)

    def run_to_end(self) -> ProcessResult:
        """Run until the process ends or a limit is reached, and clean up.

        Raises:
            OSError: the process cannot be started.
        """
        try:
            process = self._start()
            assert process.stdout is not None
            assert process.stderr is not None
            streams = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
            try:
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PGRP, process.pid, _NICENESS)
                end_reason = self._collect_output(process, streams)
            finally:
                _kill_and_reap(process)
        finally:
            with self._lock:
                self._finished = True
                os.close(self._wake)
        stdout, stderr = map(bytes, streams.values())
        return ProcessResult(stdout, stderr, process.returncode, end_reason)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the process in its own process group, with only three streams and the code file open."""
        code_fd = os.memfd_create("code", os.MFD_CLOEXEC)
        try:
            with open(code_fd, "wb", closefd=False) as file:
                file.write(self._code)
            os.lseek(code_fd, 0, os.SEEK_SET)
            return subprocess.Popen(  # noqa: S603 - the command of an `Isolation`
                self._command(code_fd),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                pass_fds=(code_fd,),
                start_new_session=True,
            )
        finally:
            os.close(code_fd)

    def _collect_output(self, process: subprocess.Popen[bytes], streams: dict[int, bytearray]) -> EndReason:
        """Read into `streams` until the process ends or has to be killed; return why."""
        deadline = time.monotonic() + self._wall_seconds
        with selectors.DefaultSelector() as selector:
            for fd in (*streams, self._wake):
                selector.register(fd, selectors.EVENT_READ)
            while len(selector.get_map()) > 1:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    return "time"
                for key, _ in ready:
                    if key.fd == self._wake:
                        return "cancelled"
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    if not chunk:
                        selector.unregister(key.fd)
                    streams[key.fd] += chunk
                    if len(streams[key.fd]) > MAX_STREAM_BYTES:
                        del streams[key.fd][MAX_STREAM_BYTES:]
                        return "output"
        try:
            process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return "time"  # it has closed its streams but still runs
        return "exited"


def _kill_and_reap(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group and reap its leader.

    Until then the group id cannot be reused.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
