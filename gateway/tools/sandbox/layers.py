"""The second layer around the interpreter: bwrap where this machine lets it, else a bare limited process."""

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

from gateway.tools.sandbox.limits import RunLimits
from gateway.tools.sandbox.process import Run
from gateway.tools.sandbox.report import Report, read

LayerName = Literal["bwrap", "process", "none"]

_NOBODY = "65534"
_PROBE = b"print('ready')\n6 * 7"
_ANSWER = Report(output="ready\n", result="42")
_PROBE_LIMITS = RunLimits(seconds=5, memory_bytes=64 << 20)
_LIBRARY = re.compile(rb"(/\S+) \(0x")


@dataclass(frozen=True, slots=True)
class Layer:
    """A way to start the interpreter that has been seen to work here, or none.

    `prefix` comes before the shell that sets the limits; `sentence` tells an operator what there is, and how
    to get more.
    """

    name: LayerName
    sentence: str
    prefix: tuple[str, ...] = ()
    interpreter: str = ""

    def command(self, limits: RunLimits, code_fd: int) -> list[str]:
        """What to execute with `code_fd` open for reading, at its beginning."""
        shell = ("/bin/sh", "-c", limits.shell(), "sh", self.interpreter, *limits.interpreter())
        if self.name == "bwrap":
            code = ("--ro-bind-data", str(code_fd), "/code.py", "--remount-ro", "/")
            return [*self.prefix, *code, *shell, "/code.py"]
        return [*self.prefix, *shell, f"/proc/self/fd/{code_fd}"]


@cache
def active_layer() -> Layer:
    """The best layer that runs code here; found once by running some (some 30 ms), then remembered."""
    interpreter = find_interpreter()
    if not sys.platform.startswith("linux"):
        return Layer("none", "The code tool runs on Linux only.")
    if interpreter is None:
        return Layer("none", "The code tool's interpreter is missing: install pydantic-monty.")
    for layer in candidates(interpreter):
        if works(layer):
            return layer
    return Layer("none", "The code tool's interpreter is here, but does not run; reinstall pydantic-monty.")


def find_interpreter() -> str | None:
    """The worker binary of pydantic-monty: beside this Python's scripts, else on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "monty"
    found = str(beside) if beside.is_file() else shutil.which("monty")
    return os.path.realpath(found) if found else None


def candidates(interpreter: str) -> Iterator[Layer]:
    """All ways to start it, the strictest first."""
    bwrap = shutil.which("bwrap")
    if bwrap is not None:
        for given_up in _privileges():
            yield bwrap_layer(given_up, bwrap, interpreter)
    for given_up in _privileges():
        yield process_layer(given_up, interpreter, has_bwrap=bwrap is not None)


def _privileges() -> Iterator[tuple[str, ...]]:
    """What to start with so that there is less to lose: as nobody where we are root, with no new privileges.

    The kernel counts no processes of root, and kills with the gateway only what asked for it.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        bound = (setpriv, "--no-new-privs", "--pdeathsig", "KILL")
        if os.geteuid() == 0:
            nobody = ("--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--bounding-set", "-all")
            yield (*bound, *nobody, "--inh-caps", "-all")
        yield bound
    yield ()


def bwrap_layer(given_up: tuple[str, ...], bwrap: str, interpreter: str) -> Layer:
    """Namespaces of its own, and of the machine's files only the interpreter, a shell and their libraries."""
    seen = ((interpreter, "/monty"), ("/bin/sh", "/bin/sh"), *((lib, lib) for lib in _libraries(interpreter)))
    binds = [word for source, target in seen for word in ("--ro-bind", source, target)]
    return Layer(
        "bwrap",
        "The code tool runs pydantic-monty inside bwrap: no network, and no files or processes but its own.",
        prefix=(
            *given_up,
            *(bwrap, "--unshare-all", "--die-with-parent", "--clearenv", "--cap-drop", "ALL"),
            *("--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox", "--chdir", "/"),
            *binds,
        ),
        interpreter="/monty",
    )


def process_layer(given_up: tuple[str, ...], interpreter: str, *, has_bwrap: bool) -> Layer:
    """A process that can do little, but sees the machine as any other does."""
    advice = (
        "bwrap is here but may make no namespaces: allow unprivileged user namespaces"
        if has_bwrap
        else "for namespaces too, install bubblewrap"
    )
    return Layer(
        "process",
        f"The code tool runs pydantic-monty in a limited process of its own; {advice}.",
        given_up,
        interpreter,
    )


def works(layer: Layer) -> bool:
    """Whether code really runs this way and its answer can be read."""
    try:
        command = partial(layer.command, _PROBE_LIMITS)
        ended = Run(command, _PROBE_LIMITS.wall_seconds, _PROBE).finish()
    except OSError:
        return False
    return ended.returncode == 0 and read(ended) == _ANSWER


def _libraries(interpreter: str) -> tuple[str, ...]:
    """The shared libraries of the interpreter and the shell, as the loader lists them; none if it cannot."""
    found: set[str] = set()
    for command in ([interpreter, "--version"], ["/bin/sh", "-c", ":"]):
        try:
            listed = subprocess.run(  # noqa: S603 - the loader answers, the program does not run
                command, env={"LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        found.update(path.decode() for path in _LIBRARY.findall(listed.stdout))
    return tuple(sorted(found))
