"""All upstreams of this worker: selection, load and call results."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType

import structlog

from gateway.agent.routing.breakers import CallOutcome, SharedBreakers
from gateway.agent.routing.health import UnreachableProviders
from gateway.agent.routing.retry_budget import RetryBudget, retry_delay
from gateway.agent.routing.upstream import Upstream
from gateway.cache.circuit_breakers import CircuitBreakerStore
from gateway.core.exceptions import (
    GatewayError,
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.core.metrics import registry as metrics
from gateway.domain.circuit_breaker import BreakerChange, BreakerState, BreakerView, CircuitBreaker
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.models import ModelConfig
from gateway.providers.base import Provider

log = structlog.get_logger(__name__)

_BREAKER_ERRORS = (UpstreamUnavailable, UpstreamBroken, UpstreamTimeout)
# How long a rate limited upstream is avoided: without `retry-after`, and at most.
_DEFAULT_COOLDOWN_SECONDS, _MAX_COOLDOWN_SECONDS = 1.0, 60.0
_UNAUTHORIZED_LOG_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class UpstreamChoice:
    """The selected upstream, or None if all breakers are open.

    `probe` is the token if the call is a breaker's probe. `skipped_breakers` are breakers on the way that are
    not closed, by label. `retry_after` is the number of seconds until one of them may be probed.
    """

    upstream: Upstream | None
    probe: str | None = None
    skipped_breakers: Mapping[str, BreakerState] = field(default_factory=dict)
    retry_after: float = 0.0


class UpstreamPool:
    """All upstreams of one worker. Selection needs no I/O while all are healthy."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        store: CircuitBreakerStore,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._store = store
        self._retry_config = catalog.retry
        self._retry_budget = RetryBudget(catalog.retry.budget_ratio)
        breaker_config = catalog.circuit_breaker
        self._by_model = {
            name: tuple(
                Upstream(
                    provider,
                    name,
                    model.model,
                    CircuitBreaker(breaker_config.failures, breaker_config.reset_seconds),
                )
                for provider in _usable_providers(model, catalog, providers)
            )
            for name, model in catalog.models.items()
        }
        self._all = [upstream for of_model in self._by_model.values() for upstream in of_model]
        self._by_model_and_provider = {
            (upstream.model, upstream.provider.name): upstream for upstream in self._all
        }
        self.breakers = SharedBreakers(store, self._all, clock=clock, wall_clock=wall_clock)
        self.unreachable = UnreachableProviders(providers)
        self._next_index = dict.fromkeys(self._by_model, 0)
        self._rate_limited_until = 0.0
        self._log_unauthorized_after: dict[str, float] = {}
        for name in providers:
            metrics.circuits_opened.labels(name)  # so that the first increase is visible

    def for_model(self, model: str) -> tuple[Upstream, ...]:
        """The upstreams of a model; empty if none of its providers is configured."""
        return self._by_model[model]

    def get(self, model: str, provider: str) -> Upstream:
        return self._by_model_and_provider[model, provider]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Synchronise breakers with other workers and check unreachable providers."""
        async with self.breakers.running(), self.unreachable.running():
            yield

    def reachable_first(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Order the models so that those without a reachable provider come last."""
        if not self.unreachable:
            return names
        reachable = [
            n for n in names if any(u.provider.name not in self.unreachable for u in self._by_model[n])
        ]
        return (*reachable, *(name for name in names if name not in reachable))

    @property
    def all_healthy(self) -> bool:
        """Whether no breaker is open and no upstream is rate limited."""
        return self.breakers.all_closed and self._rate_limited_until <= self._clock()

    def choose_if_healthy(
        self, names: Sequence[str], tried: Collection[Upstream] = ()
    ) -> UpstreamChoice | None:
        """Choose an upstream of the first model if all are healthy, else None.

        After None call `choose`.
        """
        if not self.all_healthy:
            return None
        return UpstreamChoice(self._least_busy(names[0], self._by_model[names[0]], tried))

    async def choose(self, names: Sequence[str], tried: Collection[Upstream] = ()) -> UpstreamChoice:
        """Choose the first model with an available upstream; probe a breaker that is due.

        Rate limited upstreams are used only if nothing else is left. `tried` come last among those of their
        model.
        """
        skipped: dict[str, BreakerState] = {}
        for name in names:
            upstreams = self._by_model[name]
            for upstream in upstreams:
                if upstream.breaker.probe_due(self._clock()) and upstream not in tried:
                    token = await self.breakers.probe(upstream)
                    if token is not None:
                        return UpstreamChoice(upstream, token, {**skipped, upstream.label: "half_open"})
            now = self._clock()
            skipped |= _not_closed(upstreams, now)
            available = [u for u in upstreams if u.breaker.closed and u.rate_limited_until <= now]
            if available:
                return UpstreamChoice(self._least_busy(name, available, tried), None, skipped)
        closed = [u for name in names for u in self._by_model[name] if u.breaker.closed]
        if closed:
            return UpstreamChoice(
                min(closed, key=lambda upstream: upstream.rate_limited_until), None, skipped
            )
        now = self._clock()
        wait = min(
            (u.breaker.seconds_until_probe(now) for name in names for u in self._by_model[name]), default=0.0
        )
        return UpstreamChoice(None, None, skipped, wait)

    def track(self, upstream: Upstream, probe: str | None = None) -> TrackedCall:
        """Context manager around one call: counts it and records its result."""
        return TrackedCall(self, upstream, probe)

    def release_probe(self, upstream: Upstream, probe: str) -> None:
        """Release a probe token that was not used."""
        self.breakers.record(upstream, "neutral", probe)

    def has_alternative(self, model: str, tried: Collection[Upstream]) -> bool:
        """Whether the model has an available upstream that is not in `tried`."""
        now = self._clock()
        return any(
            u.breaker.closed and u.rate_limited_until <= now and u not in tried for u in self._by_model[model]
        )

    def retry_delay(self, failure: GatewayError, model: str, calls: int) -> float | None:
        """Seconds until `model` may be called again; None if it may not.

        A retry is taken from the budget.

        Args:
            calls: how often it was called so far.
        """
        if not any(upstream.breaker.closed for upstream in self._by_model[model]):
            return None
        delay = retry_delay(failure, calls, self._retry_config)
        return delay if delay is not None and self._retry_budget.try_spend() else None

    def breaker_states(self, calls: Iterable[tuple[str, str]]) -> dict[str, BreakerState]:
        """Breakers of these (model, provider) pairs that are not closed, by label."""
        if self.breakers.all_closed:
            return {}
        return _not_closed(
            (self._by_model_and_provider[pair] for pair in calls if pair in self._by_model_and_provider),
            self._clock(),
        )

    async def breaker_history(self, limit: int) -> list[BreakerChange]:
        """The latest breaker changes of all workers, newest first.

        Raises:
            ValkeyUnavailable: the history is stored in Valkey.
        """
        changes = []
        for at, key, event in await self._store.history(limit):
            provider, model, _ = key.split("\x1f")
            changes.append(BreakerChange(datetime.fromtimestamp(at, UTC), provider, model, event))
        return changes

    def breaker_views(self) -> list[BreakerView]:
        """All breakers in the order of the catalog."""
        now, now_utc = self._clock(), datetime.now(UTC)
        return [
            upstream.view(now, now_utc, unreachable=upstream.provider.name in self.unreachable)
            for upstream in self._all
        ]

    def _least_busy(self, name: str, candidates: Sequence[Upstream], tried: Collection[Upstream]) -> Upstream:
        """The least busy upstream; equally busy ones take turns."""
        if len(candidates) == 1:
            return candidates[0]
        self._next_index[name] = first = (self._next_index[name] + 1) % len(candidates)
        return min((*candidates[first:], *candidates[:first]), key=lambda u: (u in tried, u.in_flight))

    def _on_call_started(self, upstream: Upstream) -> None:
        upstream.in_flight += 1
        self._retry_budget.record_call()

    def _on_call_ended(self, upstream: Upstream, probe: str | None, error: BaseException | None) -> None:
        upstream.in_flight -= 1
        if error is None or isinstance(error, UpstreamError):
            upstream.recent_calls.record(error)
            self.unreachable.record(upstream.provider.name, error)
        if error is None:
            if probe is not None or upstream.breaker.failures:
                self.breakers.record(upstream, "success", probe)
            return
        outcome: CallOutcome = "failure" if isinstance(error, _BREAKER_ERRORS) else "neutral"
        self.breakers.record(upstream, outcome, probe)
        if isinstance(error, UpstreamRateLimited):
            cooldown = _DEFAULT_COOLDOWN_SECONDS if error.retry_after is None else error.retry_after
            upstream.rate_limited_until = self._clock() + min(_MAX_COOLDOWN_SECONDS, cooldown)
            self._rate_limited_until = max(self._rate_limited_until, upstream.rate_limited_until)
        elif isinstance(error, UpstreamUnauthorized):
            self._log_unauthorized(upstream)

    def _log_unauthorized(self, upstream: Upstream) -> None:
        """Log rejected credentials, at most once every few minutes per provider."""
        name, now = upstream.provider.name, self._clock()
        if now >= self._log_unauthorized_after.get(name, 0.0):
            self._log_unauthorized_after[name] = now + _UNAUTHORIZED_LOG_SECONDS
            log.error("upstream.unauthorized", upstream=name, model=upstream.model)


class TrackedCall:
    """Context manager around one call; see `UpstreamPool.track`.

    Failures of the upstream are 5xx, lost connections, timeouts and broken answers, also after output. Rate
    limits, rejected requests or credentials and cancelled calls are not.
    """

    __slots__ = ("_pool", "_probe", "_upstream")

    def __init__(self, pool: UpstreamPool, upstream: Upstream, probe: str | None) -> None:
        self._pool = pool
        self._upstream = upstream
        self._probe = probe

    def __enter__(self) -> None:
        self._pool._on_call_started(self._upstream)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool._on_call_ended(self._upstream, self._probe, error)


def _usable_providers(
    model: ModelConfig, catalog: Catalog, providers: Mapping[str, Provider]
) -> list[Provider]:
    """The configured providers of a model; in mock mode only the mock."""
    if catalog.mode == "mock":
        return [provider for provider in providers.values() if provider.type == "mock"][:1]
    return [providers[name] for name in model.providers if providers[name].can_serve(model)]


def _not_closed(upstreams: Iterable[Upstream], now: float) -> dict[str, BreakerState]:
    return {u.label: u.breaker.state(now) for u in upstreams if not u.breaker.closed}
