"""One run as one process: started, read within its bounds, killed if need be, always reaped."""

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

_NICENESS = 10  # what answers people comes first
_REAP_SECONDS = 1.0
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a run ended: what it wrote (each stream cut at its bound) and why it is over.

    `returncode` is negative for a signal, as in `subprocess`; bwrap says 128 + the signal instead.
    """

    stdout: bytes
    stderr: bytes
    returncode: int
    end_reason: EndReason


class SandboxProcess:
    """One run of some code. `finish` blocks its thread until all is over; `cancel` may come from any other.

    `command` makes the words to execute from the number of a file descriptor that holds the code: an
    anonymous file, so that code is neither on the disk nor in any list of processes.
    """

    def __init__(self, command: Callable[[int], list[str]], wall_seconds: float, code: bytes) -> None:
        self._command = command
        self._wall_seconds = wall_seconds
        self._code = code
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._finished = False

    def cancel(self) -> None:
        """Have it killed; nothing happens if it is over."""
        with self._lock:
            if not self._finished:
                os.eventfd_write(self._wake, 1)

    def run_to_end(self) -> ProcessResult:
        """Run it to its end or bounds; afterwards nothing of it is left. OSError if it cannot be started."""
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
        """The process, leading a group of its own, with nothing of ours but three streams and the code."""
        code_fd = os.memfd_create("code", os.MFD_CLOEXEC)
        try:
            with open(code_fd, "wb", closefd=False) as file:
                file.write(self._code)
            os.lseek(code_fd, 0, os.SEEK_SET)
            return subprocess.Popen(  # noqa: S603 - a layer's own words; the code is in the file
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
        """Fill `streams` until both are closed and the process is gone, or until it has to be ended."""
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
            return "time"  # it has closed its streams and goes on
        return "exited"


def _kill_and_reap(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, and reap it; a group keeps its number until its leader is reaped."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
