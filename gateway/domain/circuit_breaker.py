"""A circuit breaker as a state machine without a clock or a network: what a worker knows of one upstream."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
# `reopened`: the probe failed.
BreakerEvent = Literal["opened", "reopened", "closed"]


@dataclass(frozen=True, slots=True)
class SharedBreakerState:
    """What all workers know of an upstream; one that they know nothing of is closed.

    `wait` is how many seconds are left until somebody may probe it: of being left alone, or of another's
    probe. `opened_at` is seconds since the epoch.
    """

    failures: int = 0
    state: BreakerState = "closed"
    seconds_until_probe: float = 0.0
    opened_at: float | None = None


CLOSED = SharedBreakerState()


ModelHealth = Literal["up", "degraded", "down"]
# Of the last calls, the share of failures from which a model counts as degraded.
_DEGRADED_SHARE = 0.2
# So many failures and nothing else are an outage.
_OUTAGE_CALLS = 3


def health_of(state: BreakerState, *, unreachable: bool, calls: int, failed: int) -> ModelHealth:
    """One judgement of an upstream from its breaker, its reachability and its last calls."""
    if state == "open" or unreachable or (failed == calls and calls >= _OUTAGE_CALLS):
        return "down"
    if state == "half_open" or (calls and failed / calls >= _DEGRADED_SHARE):
        return "degraded"
    return "up"


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest failure of an upstream; `reason` is redacted."""

    at: datetime
    code: str
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker as people are shown it; the times are None while it is closed.

    `health` is the judgement of the upstream, from `calls` and `failed` of this worker's last calls too.
    """

    upstream: str
    model: str
    state: BreakerState
    failures: int
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    health: ModelHealth = "up"
    calls: int = 0
    failed: int = 0
    last_error: LastError | None = None


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """What a breaker did at a time."""

    at: datetime
    upstream: str
    model: str
    event: BreakerEvent


class CircuitBreaker:
    """CLOSED until `threshold` failures in a row, OPEN for `reset_seconds`, then HALF_OPEN for one probe.

    Times are seconds of a monotonic clock that the caller reads, except `opened_at`. `probe` is the token of
    a probe that this worker makes; `alone` says that it opened unbeknownst to the other workers.
    """

    __slots__ = (
        "_reset_seconds",
        "_threshold",
        "failures",
        "local_only",
        "opened_at",
        "probe",
        "probe_running",
        "retry_at",
    )

    def __init__(self, threshold: int, reset_seconds: float) -> None:
        self._threshold = threshold
        self._reset_seconds = reset_seconds
        self.failures = 0
        self.opened_at: float | None = None
        self.retry_at = 0.0
        self.probe: str | None = None
        self.probe_running = False
        self.local_only = False

    @property
    def closed(self) -> bool:
        return self.opened_at is None

    def state(self, now: float) -> BreakerState:
        if self.opened_at is None:
            return "closed"
        return "half_open" if self.probe_running or now >= self.retry_at else "open"

    def probe_due(self, now: float) -> bool:
        """Whether it is time to ask for a probe, and this worker is not at one."""
        return self.opened_at is not None and self.probe is None and now >= self.retry_at

    def seconds_until_probe(self, now: float) -> float:
        """Seconds until it is worth asking again; how long a probe takes nobody knows."""
        return 1.0 if self.probe_running or self.probe is not None else max(0.0, self.retry_at - now)

    def record_failure(self, token: str | None, now: float, wall_time: float) -> bool:
        """A call ended badly; whether that opened the breaker (anew)."""
        if self.opened_at is None:
            self.failures += 1
            if self.failures < self._threshold:
                return False
        elif token is None or token != self.probe:
            return False  # it began before the breaker opened: old news
        self.opened_at, self.retry_at = wall_time, now + self._reset_seconds
        self.probe, self.probe_running = None, False
        return True

    def record_success(self, token: str | None) -> bool:
        """A call ended well; whether there was something to forget."""
        if self.opened_at is not None:
            if token is None or token != self.probe:
                return False  # it began before the breaker opened: old news
        elif not self.failures:
            return False
        self._close()
        return True

    def release_probe(self, token: str) -> bool:
        """The probe ended without telling anything; whether it was this worker's present one."""
        if token != self.probe:
            return False
        self.probe, self.probe_running = None, False
        return True

    def apply_shared(self, shared: SharedBreakerState, now: float) -> None:
        """Take over what all workers know."""
        if shared.state != "closed":
            self.failures, self.opened_at = shared.failures, shared.opened_at
            self.retry_at, self.probe_running = (
                now + shared.seconds_until_probe,
                shared.state == "half_open" and shared.seconds_until_probe > 0,
            )
            self.local_only = False
        elif not self.local_only:
            self._close()
            self.failures = shared.failures

    def _close(self) -> None:
        self.failures, self.opened_at, self.retry_at = 0, None, 0.0
        self.probe, self.probe_running, self.local_only = None, False, False
