"""Which upstream is asked: the least busy that does not fail, and what becomes known of it by the call."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType

import structlog

from gateway.agent.recovery.breakers import Ending, SharedBreakers, Upstream
from gateway.agent.recovery.retrying import RetryBudget, pause_before_retry
from gateway.agent.recovery.standing import Away
from gateway.cache.breaker_store import BreakerStore
from gateway.core import metrics
from gateway.core.exceptions import (
    GatewayError,
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.domain.breaker import Breaker, BreakerChange, BreakerState, BreakerView, health_of
from gateway.domain.catalog import Catalog, ModelConfig
from gateway.providers.chat.base import ChatProvider

log = structlog.get_logger(__name__)

_COUNTED = (UpstreamUnavailable, UpstreamBroken, UpstreamTimeout)
# How long an upstream that limits us is spared where another can answer: without a word of its own, at most.
_COOL_SECONDS, _COOL_MOST = 1.0, 60.0
_COMPLAINT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The upstream to ask, None where all are left alone.

    `probe` is the token of the probe that its call will be. `passed` are the breakers on the way that are not
    closed, by label; `wait` is how many seconds it takes until one of them may be asked.
    """

    upstream: Upstream | None
    probe: str | None = None
    passed: Mapping[str, BreakerState] = field(default_factory=dict)
    wait: float = 0.0


class Upstreams:
    """All upstreams of one worker; whatever a call needs to know is in its memory."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, ChatProvider],
        store: BreakerStore,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._store = store
        self._retry = catalog.retry
        self._budget = RetryBudget(catalog.retry.budget_ratio)
        rule = catalog.circuit_breaker
        self._of = {
            name: tuple(
                Upstream(provider, name, model.model, Breaker(rule.failures, rule.reset_seconds))
                for provider in _providers_of(model, catalog, providers)
            )
            for name, model in catalog.models.items()
        }
        self._all = [upstream for of_model in self._of.values() for upstream in of_model]
        self._at = {(upstream.model, upstream.provider.name): upstream for upstream in self._all}
        self._breakers = SharedBreakers(store, self._all, clock=clock, wall=wall)
        self.away = Away(providers)
        self._turns = dict.fromkeys(self._of, 0)
        self._cool_until = 0.0
        self._complained: dict[str, float] = {}
        for name in providers:
            metrics.circuit_open.labels(name)  # so that its first opening is seen as a rise from zero

    def of(self, model: str) -> tuple[Upstream, ...]:
        """Those that can answer for a model of the catalogue; none where no provider of it is configured."""
        return self._of[model]

    def at(self, model: str, provider: str) -> Upstream:
        return self._at[model, provider]

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this is open, the breakers follow those of the other workers, and who is away is checked."""
        async with self._breakers.watching(), self.away.watching():
            yield

    def answering_first(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The same models, those behind all of whose providers nobody answers last."""
        if not self.away:
            return names
        answering = [n for n in names if any(u.provider.name not in self.away for u in self._of[n])]
        return (*answering, *(name for name in names if name not in answering))

    @property
    def calm(self) -> bool:
        """Whether no upstream is left alone or spared: then any may be asked."""
        return self._breakers.quiet and self._cool_until <= self._clock()

    def ready(self, names: Sequence[str], tried: Collection[Upstream] = ()) -> Choice | None:
        """The upstream of the first of `names`, where no breaker needs a look; else None: ask `choose`."""
        if not self.calm:
            return None
        return Choice(self._least(names[0], self._of[names[0]], tried))

    async def choose(self, names: Sequence[str], tried: Collection[Upstream] = ()) -> Choice:
        """The first of `names` that has an upstream to ask; one that is due for it is probed.

        Those that limit our requests are asked only where nobody else is left. `tried` come last among those
        of their model.
        """
        passed: dict[str, BreakerState] = {}
        for name in names:
            upstreams = self._of[name]
            for upstream in upstreams:
                if upstream.breaker.due(self._clock()) and upstream not in tried:
                    token = await self._breakers.probe(upstream)
                    if token is not None:
                        return Choice(upstream, token, {**passed, upstream.label: "half_open"})
            now = self._clock()
            passed |= _not_closed(upstreams, now)
            able = [u for u in upstreams if u.breaker.closed and u.cool_until <= now]
            if able:
                return Choice(self._least(name, able, tried), None, passed)
        closed = [u for name in names for u in self._of[name] if u.breaker.closed]
        if closed:
            return Choice(min(closed, key=lambda upstream: upstream.cool_until), None, passed)
        now = self._clock()
        wait = min((u.breaker.wait(now) for name in names for u in self._of[name]), default=0.0)
        return Choice(None, None, passed, wait)

    def calling(self, upstream: Upstream, probe: str | None = None) -> Call:
        """To be entered around one call: counts it as under way, and learns from how it ends."""
        return Call(self, upstream, probe)

    def give_back(self, upstream: Upstream, probe: str) -> None:
        """A probe that was granted is not made."""
        self._breakers.ended(upstream, "unclear", probe)

    def another(self, model: str, tried: Collection[Upstream]) -> bool:
        """Whether an upstream of `model` can be asked that was not tried."""
        now = self._clock()
        return any(u.breaker.closed and u.cool_until <= now and u not in tried for u in self._of[model])

    def pause(self, failure: GatewayError, model: str, calls: int) -> float | None:
        """Seconds after which `model` is asked again, its retry paid for; None: it is not.

        Args:
            calls: how often it was asked so far.
        """
        if not any(upstream.breaker.closed for upstream in self._of[model]):
            return None
        pause = pause_before_retry(failure, calls, self._retry)
        return pause if pause is not None and self._budget.take() else None

    def states(self, asked: Iterable[tuple[str, str]]) -> dict[str, BreakerState]:
        """Those breakers of (model, provider) that are not closed, by label."""
        if self._breakers.quiet:
            return {}
        return _not_closed((self._at[pair] for pair in asked if pair in self._at), self._clock())

    async def history(self, limit: int) -> list[BreakerChange]:
        """What breakers have done, the newest first, those of all workers and of models that have gone since.

        Raises:
            ValkeyUnavailable: it is kept there.
        """
        changes = []
        for at, key, event in await self._store.history(limit):
            provider, model, _ = key.split("\x1f")
            changes.append(BreakerChange(datetime.fromtimestamp(at, UTC), provider, model, event))
        return changes

    def view(self) -> list[BreakerView]:
        """Every breaker, in the order of the catalogue."""
        now, today = self._clock(), datetime.now(UTC)
        return [
            _view(upstream, now, today, away=upstream.provider.name in self.away) for upstream in self._all
        ]

    def _least(self, name: str, able: Sequence[Upstream], tried: Collection[Upstream]) -> Upstream:
        """The least busy; those that are equal take turns."""
        if len(able) == 1:
            return able[0]
        self._turns[name] = first = (self._turns[name] + 1) % len(able)
        return min((*able[first:], *able[:first]), key=lambda u: (u in tried, u.in_flight))

    def _begun(self, upstream: Upstream) -> None:
        upstream.in_flight += 1
        self._budget.called()

    def _ended(self, upstream: Upstream, probe: str | None, error: BaseException | None) -> None:
        upstream.in_flight -= 1
        if error is None or isinstance(error, UpstreamError):
            upstream.last.add(error)
            self.away.ended(upstream.provider.name, error)
        if error is None:
            if probe is not None or upstream.breaker.failures:
                self._breakers.ended(upstream, "well", probe)
            return
        how: Ending = "badly" if isinstance(error, _COUNTED) else "unclear"
        self._breakers.ended(upstream, how, probe)
        if isinstance(error, UpstreamRateLimited):
            asked = _COOL_SECONDS if error.retry_after is None else error.retry_after
            upstream.cool_until = self._clock() + min(_COOL_MOST, asked)
            self._cool_until = max(self._cool_until, upstream.cool_until)
        elif isinstance(error, UpstreamUnauthorized):
            self._complain(upstream)

    def _complain(self, upstream: Upstream) -> None:
        """Tell the operator, but not with every call."""
        name, now = upstream.provider.name, self._clock()
        if now >= self._complained.get(name, 0.0):
            self._complained[name] = now + _COMPLAINT_SECONDS
            log.error("upstream_unauthorized", upstream=name, model=upstream.model)


class Call:
    """One call under way; see `Upstreams.calling`.

    Counted against the upstream are 5xx, lost connections, time-outs and broken answers, also after the first
    word; not limits, what it finds wrong with a request or our credentials, nor calls that we broke off.
    """

    __slots__ = ("_all", "_probe", "_upstream")

    def __init__(self, all_of_them: Upstreams, upstream: Upstream, probe: str | None) -> None:
        self._all = all_of_them
        self._upstream = upstream
        self._probe = probe

    def __enter__(self) -> None:
        self._all._begun(self._upstream)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all._ended(self._upstream, self._probe, error)


def _providers_of(
    model: ModelConfig, catalog: Catalog, providers: Mapping[str, ChatProvider]
) -> list[ChatProvider]:
    """Those that lack nothing; in mock mode the mock answers for all."""
    if catalog.mode == "mock":
        return [provider for provider in providers.values() if provider.type == "mock"][:1]
    return [providers[name] for name in model.providers if providers[name].serves(model)]


def _not_closed(upstreams: Iterable[Upstream], now: float) -> dict[str, BreakerState]:
    return {u.label: u.breaker.state(now) for u in upstreams if not u.breaker.closed}


def _view(upstream: Upstream, now: float, today: datetime, *, away: bool) -> BreakerView:
    breaker, last = upstream.breaker, upstream.last
    opened = retry = None
    if breaker.opened_at is not None:
        opened = datetime.fromtimestamp(breaker.opened_at, UTC)
        retry = today + timedelta(seconds=max(0.0, breaker.retry_at - now))
    return BreakerView(
        upstream.provider.name,
        upstream.model,
        breaker.state(now),
        breaker.failures,
        opened,
        retry,
        health_of(breaker.state(now), away=away, calls=last.count, failed=last.failed),
        last.count,
        last.failed,
        last.error,
    )
