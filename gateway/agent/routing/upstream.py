"""One upstream: a (provider, model) pair that can be called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from gateway.agent.routing.health import RecentCalls
from gateway.domain.circuit_breaker import BreakerView, CircuitBreaker, health_of
from gateway.providers.base import Provider


class Upstream:
    """An upstream with its load, health and circuit breaker in this worker.

    in_flight: this worker's running calls.
    rate_limited_until: monotonic time until which it asked us not to call.
    recent_calls: results of the last calls.
    defaults_only: it rejected the temperature or token limit of auxiliary calls.
    accepts_streams: False once it rejected a stream that its caller did not ask for.
    unsent_events: events not yet sent to Valkey; last_sent_at: when the last one was sent.
    """

    __slots__ = (
        "accepts_streams",
        "breaker",
        "defaults_only",
        "in_flight",
        "key",
        "last_sent_at",
        "model",
        "provider",
        "rate_limited_until",
        "recent_calls",
        "unsent_events",
    )

    def __init__(self, provider: Provider, model: str, vendor_model: str, breaker: CircuitBreaker) -> None:
        self.provider = provider
        self.model = model
        # A changed address or vendor model starts with a new breaker.
        endpoint = f"{provider.config.base_url}\x1f{vendor_model}".encode("utf-8", "replace")
        self.key = f"{provider.name}\x1f{model}\x1f{blake2b(endpoint, digest_size=8).hexdigest()}"
        self.breaker = breaker
        self.in_flight = 0
        self.recent_calls = RecentCalls()
        self.defaults_only = False
        self.accepts_streams = True
        self.rate_limited_until = 0.0
        self.unsent_events = 0
        self.last_sent_at = 0.0

    @property
    def label(self) -> str:
        """Name in receipts."""
        return f"{self.provider.name}/{self.model}"

    def view(self, now: float, now_utc: datetime, *, unreachable: bool) -> BreakerView:
        """The breaker as shown to administrators; `now` is monotonic."""
        breaker, recent = self.breaker, self.recent_calls
        opened_at = retry_at = None
        if breaker.opened_at is not None:
            opened_at = datetime.fromtimestamp(breaker.opened_at, UTC)
            retry_at = now_utc + timedelta(seconds=max(0.0, breaker.retry_at - now))
        state = breaker.state(now)
        return BreakerView(
            self.provider.name,
            self.model,
            state,
            breaker.failures,
            opened_at,
            retry_at,
            health_of(state, unreachable=unreachable, calls=recent.count, failed=recent.failed_count),
            recent.count,
            recent.failed_count,
            recent.last_error,
        )
