"""Isolation around the interpreter.

This is bwrap if the machine permits it, else a process with limits.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

from gateway.tools.code.limits import RunLimits
from gateway.tools.code.process import SandboxProcess
from gateway.tools.code.report import CodeReport, parse_report

IsolationName = Literal["bwrap", "process", "none"]

_NOBODY_ID = "65534"
_PROBE_CODE = b"print('ready')\n6 * 7"
_PROBE_REPORT = CodeReport(output="ready\n", result="42")
_PROBE_LIMITS = RunLimits(seconds=5, memory_bytes=64 << 20)
_LIBRARY_PATH = re.compile(rb"(/\S+) \(0x")


@dataclass(frozen=True, slots=True)
class Isolation:
    """A way to start the interpreter, or none.

    `command_prefix` precedes the shell that sets the limits. `description` tells the operator which isolation
    is active and how to get a stronger one.
    """

    name: IsolationName
    description: str
    command_prefix: tuple[str, ...] = ()
    interpreter: str = ""

    def command(self, limits: RunLimits, code_fd: int) -> list[str]:
        """Return the command; `code_fd` must be open for reading, at its beginning."""
        shell = (
            "/bin/sh",
            "-c",
            limits.shell_script(),
            "sh",
            self.interpreter,
            *limits.interpreter_options(),
        )
        if self.name == "bwrap":
            code = ("--ro-bind-data", str(code_fd), "/code.py", "--remount-ro", "/")
            return [*self.command_prefix, *code, *shell, "/code.py"]
        return [*self.command_prefix, *shell, f"/proc/self/fd/{code_fd}"]


@cache
def detect_isolation() -> Isolation:
    """Return the strongest isolation that works here.

    It is tested once (about 30 ms), then cached.
    """
    interpreter = find_interpreter()
    if not sys.platform.startswith("linux"):
        return Isolation("none", "The code tool runs on Linux only.")
    if interpreter is None:
        return Isolation("none", "The code tool's interpreter is missing: install pydantic-monty.")
    for isolation in candidate_isolations(interpreter):
        if is_working(isolation):
            return isolation
    return Isolation(
        "none", "The code tool's interpreter is installed, but does not run; reinstall pydantic-monty."
    )


def find_interpreter() -> str | None:
    """Return the path of pydantic-monty's binary.

    It is searched for among this Python's scripts, then on PATH.
    """
    in_scripts = Path(sysconfig.get_path("scripts")) / "monty"
    found = str(in_scripts) if in_scripts.is_file() else shutil.which("monty")
    return os.path.realpath(found) if found else None


def candidate_isolations(interpreter: str) -> Iterator[Isolation]:
    """Yield all ways to start the interpreter, the strongest isolation first."""
    bwrap = shutil.which("bwrap")
    if bwrap is not None:
        for privilege_drop in _privilege_drops():
            yield bwrap_isolation(privilege_drop, bwrap, interpreter)
    for privilege_drop in _privilege_drops():
        yield process_isolation(privilege_drop, interpreter, has_bwrap=bwrap is not None)


def _privilege_drops() -> Iterator[tuple[str, ...]]:
    """Yield command prefixes that drop privileges.

    The process runs as nobody if we are root, and cannot gain privileges.

    Not running as root matters because the kernel's process limit does not apply to root. `--pdeathsig` ends
    the process together with the gateway.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        setpriv_command = (setpriv, "--no-new-privs", "--pdeathsig", "KILL")
        if os.geteuid() == 0:
            as_nobody = (
                "--reuid",
                _NOBODY_ID,
                "--regid",
                _NOBODY_ID,
                "--clear-groups",
                "--bounding-set",
                "-all",
            )
            yield (*setpriv_command, *as_nobody, "--inh-caps", "-all")
        yield setpriv_command
    yield ()


def bwrap_isolation(privilege_drop: tuple[str, ...], bwrap: str, interpreter: str) -> Isolation:
    """Return isolation by namespaces.

    The only visible files are the interpreter, a shell and their libraries.
    """
    visible = (
        (interpreter, "/monty"),
        ("/bin/sh", "/bin/sh"),
        *((lib, lib) for lib in _libraries(interpreter)),
    )
    binds = [word for source, target in visible for word in ("--ro-bind", source, target)]
    return Isolation(
        "bwrap",
        "The code tool runs pydantic-monty inside bwrap: no network, and no files or processes but its own.",
        command_prefix=(
            *privilege_drop,
            *(bwrap, "--unshare-all", "--die-with-parent", "--clearenv", "--cap-drop", "ALL"),
            *("--uid", _NOBODY_ID, "--gid", _NOBODY_ID, "--hostname", "sandbox", "--chdir", "/"),
            *binds,
        ),
        interpreter="/monty",
    )


def process_isolation(privilege_drop: tuple[str, ...], interpreter: str, *, has_bwrap: bool) -> Isolation:
    """Return isolation by process limits only.

    The process can see the machine's files.
    """
    advice = (
        "bwrap is installed but cannot create namespaces: allow unprivileged user namespaces"
        if has_bwrap
        else "install bubblewrap for namespaces"
    )
    return Isolation(
        "process",
        f"The code tool runs pydantic-monty in a limited process of its own; {advice}.",
        privilege_drop,
        interpreter,
    )


def is_working(isolation: Isolation) -> bool:
    """Whether code runs with this isolation and its output can be read."""
    try:
        command = partial(isolation.command, _PROBE_LIMITS)
        result = SandboxProcess(command, _PROBE_LIMITS.wall_seconds, _PROBE_CODE).run_to_end()
    except OSError:
        return False
    return result.returncode == 0 and parse_report(result) == _PROBE_REPORT


def _libraries(interpreter: str) -> tuple[str, ...]:
    """Return the shared libraries of the interpreter and the shell.

    Returns () if the loader cannot list them.
    """
    found: set[str] = set()
    for command in ([interpreter, "--version"], ["/bin/sh", "-c", ":"]):
        try:
            loader_output = subprocess.run(  # noqa: S603 - only the loader runs
                command, env={"LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        found.update(path.decode() for path in _LIBRARY_PATH.findall(loader_output.stdout))
    return tuple(sorted(found))
