"""The breakers of this worker's upstreams, kept in step with those of all other workers.

What a call tells is known here at once and told to Valkey behind its back: nothing waits for that. Where
Valkey is away, each worker goes by what it has seen itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from hashlib import blake2b
from typing import Literal, NoReturn
from uuid import uuid4

import structlog

from gateway.agent.routing.health import RecentCalls
from gateway.cache.circuit_breakers import BreakerAction, CircuitBreakerStore
from gateway.cache.client import ValkeyUnavailable
from gateway.core.metrics import registry as metrics
from gateway.domain.circuit_breaker import CLOSED, CircuitBreaker, SharedBreakerState
from gateway.providers.base import Provider

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
_RECONNECT_SECONDS = 1.0

CallOutcome = Literal["well", "badly", "unclear"]


class Upstream:
    """One provider's answers for one model of the gateway's: who is asked, how busy, how well it does.

    `in_flight` counts this worker's calls. Until `cool_until` (monotonic seconds) it has asked to be spared.
    `last` is how the last calls ended. `takes_defaults_only`: it refused the temperature or the limit of the
    gateway's own questions. `streams` is False where it refused a stream that was only for the gateway.
    `untold` counts acts not yet sent to Valkey; `told_at` is when the last one was sent.
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
        # A provider that has moved, or is asked for another model of its own, starts afresh.
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
        """The name in receipts."""
        return f"{self.provider.name}/{self.model}"


class SharedBreakers:
    """Opens and closes the breakers of `upstreams`; `quiet` is True while all are closed."""

    def __init__(
        self,
        store: CircuitBreakerStore,
        upstreams: Iterable[Upstream],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._upstreams = tuple(upstreams)
        self._clock = clock
        self._wall_clock = wall_clock
        self._pending: deque[tuple[BreakerAction, Upstream, str | None, bool]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self.all_closed = True

    def record(self, upstream: Upstream, outcome: CallOutcome, token: str | None) -> None:
        """A call has ended; `token` is its probe's. Never waits."""
        breaker = upstream.breaker
        if outcome == "badly":
            was_closed = breaker.closed
            opened = breaker.record_failure(token, self._clock(), self._wall_clock())
            if was_closed or opened:
                self._enqueue("fail", upstream, token, opened=opened)
        elif outcome == "well":
            if breaker.record_success(token):
                if token is not None:
                    log.info("circuit_closed", upstream=upstream.provider.name, model=upstream.model)
                self._enqueue("succeed", upstream, token)
        elif token is not None and breaker.release_probe(token):
            self._enqueue("release", upstream, token)
        self._update_all_closed()

    async def probe(self, upstream: Upstream) -> str | None:
        """The token of a probe, if nobody else is at one; None also where the breaker has closed since."""
        breaker = upstream.breaker
        token = breaker.probe = uuid4().hex  # from now on nobody else of this worker asks
        granted = False
        try:
            result = await self._store.apply("probe", upstream.key, token)
            granted = result.took_effect or (breaker.local_only and result.breaker.state == "closed")
            if granted and not result.took_effect:
                breaker.probe_running = True
            else:
                self._apply_shared(upstream, result.breaker)
        except ValkeyUnavailable:
            granted = breaker.probe_running = not breaker.closed
        except asyncio.CancelledError:
            self._enqueue("release", upstream, token)
            raise
        finally:
            if not granted and breaker.probe == token:
                breaker.probe = None
        return token if granted else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, what other workers find out is learnt here, and held probes stay held."""
        tasks: list[asyncio.Task[NoReturn]] = []
        if self._store.configured:
            tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.flush()

    async def flush(self) -> None:
        """Returns once Valkey knows all that this worker had to tell."""
        if self._sender is not None:
            await asyncio.wait({self._sender})

    async def poll(self) -> None:
        """Hold on to the probes that this worker makes, and learn what all know, whatever messages were lost.

        Raises:
            ValkeyUnavailable
        """
        for upstream in self._upstreams:
            if upstream.breaker.probe is not None:
                await self._store.apply("renew", upstream.key, upstream.breaker.probe)
        await self.refresh()

    async def refresh(self) -> None:
        """Learn what all workers know.

        Raises:
            ValkeyUnavailable
        """
        started_at = self._clock()
        shared = await self._store.read()
        for upstream in self._upstreams:
            if not upstream.unsent_events and upstream.last_sent_at < started_at:
                self._apply_shared(upstream, shared.get(upstream.key, CLOSED))

    def _enqueue(
        self, act: BreakerAction, upstream: Upstream, token: str | None, *, opened: bool = False
    ) -> None:
        if not self._store.available:
            if opened:
                self._record_opened(upstream, local_only=True)
            return
        upstream.unsent_events += 1
        self._pending.append((act, upstream, token, opened))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_pending())

    async def _send_pending(self) -> None:
        while self._pending:
            act, upstream, token, opened = self._pending.popleft()
            try:
                result = await self._store.apply(act, upstream.key, token)
            except ValkeyUnavailable:
                upstream.unsent_events -= 1
                if opened:
                    self._record_opened(upstream, local_only=True)
                continue
            upstream.unsent_events -= 1
            upstream.last_sent_at = self._clock()
            if act == "fail" and result.took_effect:
                self._record_opened(upstream, local_only=False)
            if not upstream.unsent_events:
                self._apply_shared(upstream, result.breaker)

    def _record_opened(self, upstream: Upstream, *, local_only: bool) -> None:
        """Count an opening that this worker caused."""
        upstream.breaker.local_only = local_only
        metrics.circuits_opened.labels(upstream.provider.name).inc()
        log.warning("circuit_opened", upstream=upstream.provider.name, model=upstream.model, alone=local_only)

    def _apply_shared(self, upstream: Upstream, shared: SharedBreakerState) -> None:
        upstream.breaker.apply_shared(shared, self._clock())
        self._update_all_closed()

    def _update_all_closed(self) -> None:
        self.all_closed = all(upstream.breaker.closed for upstream in self._upstreams)

    async def _listen(self) -> NoReturn:
        while True:
            try:
                async with aclosing(self._store.changes()) as changes:
                    async for _ in changes:
                        await self.refresh()
            except ValkeyUnavailable:
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _poll(self) -> NoReturn:
        while True:
            try:
                await self.poll()
            except ValkeyUnavailable:
                log.debug("breakers_not_read")  # the breakers go by what this worker has seen
            await asyncio.sleep(POLL_SECONDS)
