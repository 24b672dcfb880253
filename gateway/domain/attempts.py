"""How failed attempts slow down the next one: never for good, and not at all within a free allowance."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many attempts are free, and what the next ones wait.

    After the `free`-th failure the wait is `first` seconds, then twice as much each time, `most` at most.
    One failure is forgiven every `leak` seconds (None: none), all of them after `memory` seconds without any.
    """

    free: int
    first: float = 1.0
    most: float = 300.0
    leak: float | None = None
    memory: int = 3600

    def wait(self, failures: float) -> float:
        """Seconds that the next attempt waits after so many failures, to the nearest whole one."""
        beyond = floor(failures + 0.5) - self.free
        return 0.0 if beyond < 0 else min(self.most, self.first * 2.0 ** min(beyond, 30))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose attempts are counted, under a name that tells nothing of whom, and by which allowance."""

    name: str
    allowance: Allowance


@dataclass(slots=True)
class Tally:
    """The failures of one subject: how many as of `at`, and until when the next attempt waits (seconds)."""

    failures: float = 0.0
    at: float = 0.0
    until: float = 0.0

    def forgive(self, allowance: Allowance, now: float) -> None:
        if now - self.at >= allowance.memory:
            self.failures = 0.0
        elif allowance.leak is not None:
            self.failures = max(0.0, self.failures - (now - self.at) / allowance.leak)
        self.at = now

    def count(self, allowance: Allowance, now: float) -> None:
        """One more failure."""
        self.forgive(allowance, now)
        self.failures += 1
        self.until = now + allowance.wait(self.failures)
