"""Supervisor process between the gateway and one engine.

Stops it with the gateway.

Run as a script by a bare interpreter (standard library only, so it starts in milliseconds). Standard input is
a pipe whose other end only the gateway holds: when the gateway ends, however it ends, the pipe closes and the
supervisor shuts the engine down. A byte in the pipe says that the engine is ready: if it dies after that, it
is restarted until it stays up (PostgreSQL cannot start while processes of a killed server still hold its
shared memory). An engine that dies before that is reported to the gateway. On Linux the kernel also signals
the engine if the supervisor itself is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS, NO_SETUID_FIXUP = 28, 1 << 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000
FIRST_RESTART_DELAY, MAX_RESTART_DELAY = 0.2, 5.0


def die_with_parent(stop_signal: int) -> None:
    """Ask Linux to send `stop_signal` to this process when the parent thread ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)


def nobody_ids() -> tuple[int, int]:
    """Return the user and group ids of the user `nobody`."""
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def drop_root(method: str) -> None:
    """Drop root before `exec`, with `method` `namespace` or `nobody`.

    In a user namespace the process appears as nobody while root's files still belong to it, so no directory
    has to be opened to another user. As `nobody`, it keeps the capability to traverse root's directories if
    the kernel allows it. Raises OSError if the kernel does not allow user namespaces.
    """
    user, group = nobody_ids()
    if method == "namespace":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} 0 1"),
            ("gid_map", f"{group} 0 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(content)
    elif method == "nobody":
        linux = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        if linux is not None:
            linux.prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0)
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
        if linux is not None:
            mask = 1 << CAP_DAC_OVERRIDE
            linux.capset(
                (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)(mask, mask, mask)
            )
            linux.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


class EngineSupervisor:
    """Runs one engine until standard input closes or a signal asks it to stop."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.argv: list[str] = spec["argv"]
        self.cwd: str = spec["cwd"]
        self.stop_signal: int = spec["stop_signal"]
        self.grace_seconds: float = spec["grace_seconds"]
        self.drop_root: str = spec["drop_root"]
        self.settled_seconds: float = spec["settled_seconds"]
        self.stopping = False
        self.has_started = False

    def _start(self) -> subprocess.Popen[bytes]:
        supervisor_pid = os.getpid()

        def prepare() -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            drop_root(self.drop_root)
            die_with_parent(self.stop_signal)  # after the change of user, which resets it
            if os.getppid() != supervisor_pid:  # the supervisor died before the call above
                os._exit(0)

        return subprocess.Popen(  # noqa: S603 - the command line that the gateway gave
            self.argv, cwd=self.cwd, stdin=subprocess.DEVNULL, preexec_fn=prepare
        )

    def run(self) -> int:
        """Supervise until asked to stop; returns the engine's exit code."""
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        pause = 0.0
        while True:
            started = time.monotonic()
            engine = self._start()
            code = self._supervise(engine, wake_read)
            settled = time.monotonic() - started >= self.settled_seconds
            self.has_started |= settled
            if self.stopping or not self.has_started:
                return code
            pause = 0.0 if settled else min(max(2 * pause, FIRST_RESTART_DELAY), MAX_RESTART_DELAY)
            if pause:
                message = f"supervisor: the engine ended with {code}; restarting in {pause:.1f} s\n"
                sys.stderr.write(message)
                sys.stderr.flush()
            self._delay_restart(pause, wake_read)
            if self.stopping:
                return code

    def _request_stop(self, *_: object) -> None:
        self.stopping = True

    def _supervise(self, engine: subprocess.Popen[bytes], wake_read: int) -> int:
        while True:
            code = engine.poll()
            if code is not None:
                return code
            if self.stopping:
                return self._stop(engine)
            self._wait_for_event(wake_read, None)

    def _delay_restart(self, seconds: float, wake_read: int) -> None:
        """Wait before a restart, unless the gateway ends meanwhile."""
        until = time.monotonic() + seconds
        while not self.stopping and (remaining := until - time.monotonic()) > 0:
            self._wait_for_event(wake_read, remaining)

    def _wait_for_event(self, wake_read: int, seconds: float | None) -> None:
        """Wait for a signal or the pipe: a byte means ready, its end means stop."""
        ready, _, _ = select.select([0, wake_read], [], [], seconds)
        if wake_read in ready:
            os.read(wake_read, 512)
        if 0 in ready:
            if os.read(0, 512):
                self.has_started = True
            else:
                self.stopping = True

    def _stop(self, engine: subprocess.Popen[bytes]) -> int:
        engine.send_signal(self.stop_signal)
        try:
            return engine.wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            # SIGQUIT makes PostgreSQL stop its own children; other engines simply end.
            engine.send_signal(signal.SIGQUIT)
        try:
            return engine.wait(2)
        except subprocess.TimeoutExpired:
            engine.kill()
            return engine.wait()


if __name__ == "__main__":
    if sys.argv[1] == "exec":  # run one command without root: `exec METHOD COMMAND...`
        try:
            drop_root(sys.argv[2])
            os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - the command line that the gateway gave
        except OSError as error:
            sys.exit(f"{sys.argv[3]}: {error.strerror}")
    code = EngineSupervisor(json.loads(sys.argv[1])).run()
    sys.exit(code if code >= 0 else 128 - code)
