"""Circuit breaker state machine, without clock or network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
# `reopened`: the probe failed.
BreakerEvent = Literal["opened", "reopened", "closed"]


@dataclass(frozen=True, slots=True)
class SharedBreakerState:
    """The state of a breaker shared by all workers; unknown upstreams are closed.

    `seconds_until_probe` is the time until a worker may probe: until the reset time, or until another
    worker's probe expires. `opened_at` is in seconds since the epoch.
    """

    failures: int = 0
    state: BreakerState = "closed"
    seconds_until_probe: float = 0.0
    opened_at: float | None = None


CLOSED = SharedBreakerState()


ModelHealth = Literal["up", "degraded", "down"]
# Share of failures among recent calls from which a model counts as degraded.
_DEGRADED_SHARE = 0.2
# Number of recent calls, all failed, that count as an outage.
_OUTAGE_CALLS = 3


def health_of(state: BreakerState, *, unreachable: bool, calls: int, failed: int) -> ModelHealth:
    """Health of an upstream, from its breaker, reachability and recent calls."""
    if state == "open" or unreachable or (failed == calls and calls >= _OUTAGE_CALLS):
        return "down"
    if state == "half_open" or (calls and failed / calls >= _DEGRADED_SHARE):
        return "degraded"
    return "up"


@dataclass(frozen=True, slots=True)
class LastError:
    """The latest failure of an upstream; `reason` is redacted."""

    at: datetime
    code: str
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A breaker as shown to administrators; the times are None while it is closed.

    `health` also takes the worker's recent calls (`calls`, `failed`) into account.
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
    """A state change of a breaker."""

    at: datetime
    upstream: str
    model: str
    event: BreakerEvent


class CircuitBreaker:
    """Closed until `threshold` failures in a row, then open, then half-open.

    It stays open for `reset_seconds`; half-open allows one probe. Times are seconds of a monotonic clock read
    by the caller, except `opened_at`. `probe` is the token of this worker's probe. `local_only` means that it
    opened while Valkey was unavailable, so that other workers do not know.
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
        """Whether a probe is due and this worker is not running one."""
        return self.opened_at is not None and self.probe is None and now >= self.retry_at

    def seconds_until_probe(self, now: float) -> float:
        """Seconds until a call may succeed; 1 while a probe is running."""
        return 1.0 if self.probe_running or self.probe is not None else max(0.0, self.retry_at - now)

    def record_failure(self, token: str | None, now: float, wall_time: float) -> bool:
        """Record a failed call; whether it opened the breaker."""
        if self.opened_at is None:
            self.failures += 1
            if self.failures < self._threshold:
                return False
        elif token is None or token != self.probe:
            return False  # the call started before the breaker opened
        self.opened_at, self.retry_at = wall_time, now + self._reset_seconds
        self.probe, self.probe_running = None, False
        return True

    def record_success(self, token: str | None) -> bool:
        """Record a successful call; whether the state changed."""
        if self.opened_at is not None:
            if token is None or token != self.probe:
                return False  # the call started before the breaker opened
        elif not self.failures:
            return False
        self._close()
        return True

    def release_probe(self, token: str) -> bool:
        """End a probe without a result; whether the token is that of the current probe."""
        if token != self.probe:
            return False
        self.probe, self.probe_running = None, False
        return True

    def apply_shared(self, shared: SharedBreakerState, now: float) -> None:
        """Apply the state shared by all workers."""
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
