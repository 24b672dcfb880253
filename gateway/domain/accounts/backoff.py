"""How failed attempts slow down the next one: never for good, and not at all within a free allowance."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """How many attempts are free, and what the next ones wait.

    After the `free`-th failure the wait is `first` seconds, then twice as much each time, `most` at most.
    One failure is forgiven every `leak` seconds (None: none), all of them after `memory` seconds without any.
    """

    free_attempts: int
    first_delay: float = 1.0
    max_delay: float = 300.0
    forgive_every: float | None = None
    reset_after: int = 3600

    def delay_after(self, failures: float) -> float:
        """Seconds that the next attempt waits after so many failures, to the nearest whole one."""
        excess = floor(failures + 0.5) - self.free_attempts
        return 0.0 if excess < 0 else min(self.max_delay, self.first_delay * 2.0 ** min(excess, 30))


@dataclass(frozen=True, slots=True)
class BackoffSubject:
    """Whose attempts are counted, under a name that tells nothing of whom, and by which allowance."""

    name: str
    policy: BackoffPolicy


@dataclass(slots=True)
class FailureTally:
    """The failures of one subject: how many as of `at`, and until when the next attempt waits (seconds)."""

    failures: float = 0.0
    updated_at: float = 0.0
    blocked_until: float = 0.0

    def decay(self, policy: BackoffPolicy, now: float) -> None:
        if now - self.updated_at >= policy.reset_after:
            self.failures = 0.0
        elif policy.forgive_every is not None:
            self.failures = max(0.0, self.failures - (now - self.updated_at) / policy.forgive_every)
        self.updated_at = now

    def add_failure(self, policy: BackoffPolicy, now: float) -> None:
        """One more failure."""
        self.decay(policy, now)
        self.failures += 1
        self.blocked_until = now + policy.delay_after(self.failures)
