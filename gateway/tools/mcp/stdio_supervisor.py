"""Script that supervises one MCP server on stdio, so that the server never outlives the gateway.

Executed by a bare interpreter (standard library only, so it starts in milliseconds): `stdio_supervisor.py
<gateway pid> <comma-separated variable names> <command> [<argument> …]`. The server gets those variables and
PATH, and this standard input. Its standard output is forwarded; an endless line or a flood ends it. If the
server or the gateway ends, so does the server's whole process group. Its standard error is discarded.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_BYTES_PER_SECOND = 16 * 1024 * 1024
GRACE_SECONDS = 1.0
POLL_SECONDS = 2.0
EXIT_CANNOT_RUN = 127


def end_with_parent(parent: int) -> None:
    """Request SIGTERM when the gateway ends.

    On other systems `forward_output` polls the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request
        sys.exit(1)


def forward_output(server: subprocess.Popen[bytes], source: int, wake: int, parent: int) -> None:
    """Forward the server's output until it ends, floods, or the gateway is gone."""
    unterminated = 0
    window_start, window_bytes = time.monotonic(), 0
    while os.getppid() == parent:
        ready, _, _ = select.select([source, wake], [], [], POLL_SECONDS)
        if wake in ready:
            os.read(wake, 512)
        if source not in ready:
            if server.poll() is not None:  # its child processes may keep the pipe open forever
                return
            continue
        chunk = os.read(source, 65536)
        if not chunk:
            return
        newline = chunk.rfind(b"\n")
        unterminated = unterminated + len(chunk) if newline < 0 else len(chunk) - newline - 1
        if time.monotonic() - window_start > 1:
            window_start, window_bytes = time.monotonic(), 0
        window_bytes += len(chunk)
        if unterminated > MAX_LINE_BYTES or window_bytes > MAX_BYTES_PER_SECOND:
            return
        view = memoryview(chunk)
        while view:
            view = view[os.write(1, view) :]


def main(argv: list[str]) -> int:
    parent, names, command = int(argv[1]), argv[2].split(","), argv[3:]
    end_with_parent(parent)
    wake, signalled = os.pipe()
    for pipe_end in (wake, signalled):
        os.set_blocking(pipe_end, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    environment = {name: os.environ[name] for name in ("PATH", *names) if name in os.environ}
    try:
        server = subprocess.Popen(  # noqa: S603 - the configured command
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return EXIT_CANNOT_RUN
    os.close(0)

    def end(*_: object) -> None:
        server.terminate()
        try:
            server.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
        if os.getpgrp() == os.getpid():  # child processes of the server are in our group too
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes up `select` through the pipe
    assert server.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # the gateway has closed the pipe
        forward_output(server, server.stdout.fileno(), wake, parent)
    end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
