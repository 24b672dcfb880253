"""Backoff after failed attempts: delays grow, but never lock out permanently."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """How many attempts are free, and how long later ones are delayed.

    After `free_attempts` failures the delay is `first_delay` seconds, doubling with each failure up to
    `max_delay`. One failure is forgotten every `forgive_every` seconds (None: never), and all after
    `reset_after` seconds without failures.
    """

    free_attempts: int
    first_delay: float = 1.0
    max_delay: float = 300.0
    forgive_every: float | None = None
    reset_after: int = 3600

    def delay_after(self, failures: float) -> float:
        """Return the delay of the next attempt in seconds, for the rounded number of failures."""
        excess = floor(failures + 0.5) - self.free_attempts
        return 0.0 if excess < 0 else min(self.max_delay, self.first_delay * 2.0 ** min(excess, 30))


@dataclass(frozen=True, slots=True)
class BackoffSubject:
    """A counted subject under an anonymous name, and its policy."""

    name: str
    policy: BackoffPolicy


@dataclass(slots=True)
class FailureTally:
    """The failures of one subject as of `updated_at`.

    Attempts are blocked until `blocked_until` (seconds).
    """

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
        """Add one failure."""
        self.decay(policy, now)
        self.failures += 1
        self.blocked_until = now + policy.delay_after(self.failures)
