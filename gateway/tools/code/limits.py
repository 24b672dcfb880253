"""Limits of one run, as options of the interpreter and as limits of its process."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.domain.config.code_tool import CodeConfig

MAX_CODE_CHARACTERS = 32 * 1024
MAX_STREAM_BYTES = 64 * 1024  # each of stdout and stderr; a run that writes more is killed
SLEEP_SECONDS = 1.0  # total of all sleeps, which do not count as running time
_GRACE_SECONDS = 1.0  # for the interpreter to report the timeout itself
_CALL_DEPTH = 500
_SUSPENSIONS = 100  # host calls and sleeps; there are no host functions
_ALLOCATIONS_PER_COLLECTION = 100_000
_OVERHEAD_BYTES = 96 << 20  # the interpreter itself: its binary, libraries and stack
_OPEN_FILES = 16


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Running time and memory of Python objects.

    All other limits derive from these two.
    """

    seconds: float
    memory_bytes: int

    @classmethod
    def from_config(cls, config: CodeConfig) -> RunLimits:
        return cls(config.seconds, config.memory_mb << 20)

    @property
    def wall_seconds(self) -> float:
        """The wall time after which a run is killed."""
        return self.seconds + SLEEP_SECONDS + _GRACE_SECONDS

    def interpreter_options(self) -> list[str]:
        """Return all limit options of the interpreter, most of which are unlimited by default."""
        return [
            f"--max-feed-duration={self.seconds:g}",
            f"--max-turn-duration={self.seconds:g}",
            f"--max-memory={self.memory_bytes}",
            f"--gc-interval={_ALLOCATIONS_PER_COLLECTION}",
            f"--max-recursion-depth={_CALL_DEPTH}",
            f"--max-suspensions={_SUSPENSIONS}",
            f"--max-sleep={SLEEP_SECONDS:g}",
            f"--max-total-sleep={SLEEP_SECONDS:g}",
        ]

    def shell_script(self) -> str:
        """Return a shell script that sets limits and then executes its arguments.

        It fails if a limit does.

        Limits: no core dump, no file output, CPU seconds, address space, open files, no new process or thread
        (`-u` in bash, `-p` in dash and busybox).
        """
        cpu = math.ceil(self.seconds + _GRACE_SECONDS)
        kibibytes = (self.memory_bytes + _OVERHEAD_BYTES) >> 10
        return (
            f"ulimit -c 0 && ulimit -f 0 && ulimit -t {cpu} && ulimit -v {kibibytes} && "
            f'ulimit -n {_OPEN_FILES} && {{ ulimit -u 1 2>&- || ulimit -p 1; }} && exec "$@"'
        )
