"""What one run may use, as the interpreter's own options and as limits of its process."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.domain.config.code_tool import CodeConfig

MAX_CODE_CHARACTERS = 32 * 1024
MAX_STREAM_BYTES = 64 * 1024  # of each of stdout and stderr; a run that writes more is ended
SLEEP_SECONDS = 1.0  # of all sleeps together; they do not count as running time
_GRACE_SECONDS = 1.0  # for the interpreter to say itself that its time is up
_CALL_DEPTH = 500
_SUSPENSIONS = 100  # host calls and sleeps; there is no host function to call
_ALLOCATIONS_PER_COLLECTION = 100_000
_OVERHEAD_BYTES = 96 << 20  # the interpreter itself: its binary, libraries and stack
_OPEN_FILES = 16


@dataclass(frozen=True, slots=True)
class RunLimits:
    """`seconds` of running, `memory_bytes` of Python objects; everything else follows from these two."""

    seconds: float
    memory_bytes: int

    @classmethod
    def from_config(cls, config: CodeConfig) -> RunLimits:
        return cls(config.seconds, config.memory_mb << 20)

    @property
    def wall_seconds(self) -> float:
        """When a run is killed, whatever it is doing."""
        return self.seconds + SLEEP_SECONDS + _GRACE_SECONDS

    def interpreter_options(self) -> list[str]:
        """Every limit that the interpreter has: all but two are unlimited unless given."""
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
        """A script of a shell that limits itself, then becomes its arguments; it fails where a limit does.

        No core, no byte in any file, CPU seconds, address space, open files, no further process or thread
        (`-u` is bash's name of that last one, `-p` that of dash and busybox).
        """
        cpu = math.ceil(self.seconds + _GRACE_SECONDS)
        kibibytes = (self.memory_bytes + _OVERHEAD_BYTES) >> 10
        return (
            f"ulimit -c 0 && ulimit -f 0 && ulimit -t {cpu} && ulimit -v {kibibytes} && "
            f'ulimit -n {_OPEN_FILES} && {{ ulimit -u 1 2>&- || ulimit -p 1; }} && exec "$@"'
        )
