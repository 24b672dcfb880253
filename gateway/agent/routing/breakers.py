"""Circuit breakers of this worker's upstreams, synchronised with other workers through Valkey.

Results of calls apply locally at once and are sent to Valkey in the background. Without Valkey each worker
uses its own results.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Literal
from uuid import uuid4

import structlog

from gateway.agent.routing.upstream import Upstream
from gateway.cache.circuit_breakers import BreakerAction, CircuitBreakerStore
from gateway.cache.client import ValkeyUnavailable
from gateway.core.aio import cancel_and_wait, run_every
from gateway.core.metrics import registry as metrics
from gateway.domain.circuit_breaker import CLOSED, SharedBreakerState

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0

CallOutcome = Literal["success", "failure", "neutral"]


class SharedBreakers:
    """Opens and closes the breakers of `upstreams`; `all_closed` is their common state."""

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
        self._changed = asyncio.Event()
        self._poll_at = 0.0

    def record(self, upstream: Upstream, outcome: CallOutcome, token: str | None) -> None:
        """Record the result of a call; `token` is set if it was a probe. Never waits."""
        breaker = upstream.breaker
        if outcome == "failure":
            was_closed = breaker.closed
            opened = breaker.record_failure(token, self._clock(), self._wall_clock())
            if was_closed or opened:
                self._enqueue("fail", upstream, token, opened=opened)
        elif outcome == "success":
            if breaker.record_success(token):
                if token is not None:
                    log.info("breaker.closed", upstream=upstream.provider.name, model=upstream.model)
                self._enqueue("succeed", upstream, token)
        elif token is not None and breaker.release_probe(token):
            self._enqueue("release", upstream, token)
        self._update_all_closed()

    async def probe(self, upstream: Upstream) -> str | None:
        """Acquire a probe token; None if another worker probes or the breaker has closed."""
        breaker = upstream.breaker
        token = breaker.probe = uuid4().hex  # no other call of this worker may probe
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
        """Receive changes of other workers, and renew the leases of this worker's probes."""
        if not self._store.configured:
            yield
            return
        unsubscribe = self._store.on_change(self._changed.set)
        task = asyncio.create_task(
            run_every(
                POLL_SECONDS,
                self._synchronize,
                on_failure="breakers.synchronization_failed",
                immediately=True,
                wake=self._changed,
            )
        )
        try:
            yield
        finally:
            unsubscribe()
            await cancel_and_wait(task)
            await self.flush()

    async def flush(self) -> None:
        """Wait until all pending events were sent to Valkey."""
        if self._sender is not None:
            await asyncio.wait({self._sender})

    async def poll(self) -> None:
        """Renew the leases of this worker's probes and refresh all breakers.

        Messages about changes may be lost.

        Raises:
            ValkeyUnavailable
        """
        for upstream in self._upstreams:
            if upstream.breaker.probe is not None:
                await self._store.apply("renew", upstream.key, upstream.breaker.probe)
        await self.refresh()

    async def refresh(self) -> None:
        """Read the shared state of all breakers.

        Raises:
            ValkeyUnavailable
        """
        started_at = self._clock()
        shared = await self._store.read()
        for upstream in self._upstreams:
            if not upstream.unsent_events and upstream.last_sent_at < started_at:
                self._apply_shared(upstream, shared.get(upstream.key, CLOSED))

    def _enqueue(
        self, action: BreakerAction, upstream: Upstream, token: str | None, *, opened: bool = False
    ) -> None:
        if not self._store.available:
            if opened:
                self._record_opened(upstream, local_only=True)
            return
        upstream.unsent_events += 1
        self._pending.append((action, upstream, token, opened))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_pending())

    async def _send_pending(self) -> None:
        while self._pending:
            action, upstream, token, opened = self._pending.popleft()
            try:
                result = await self._store.apply(action, upstream.key, token)
            except ValkeyUnavailable:
                upstream.unsent_events -= 1
                if opened:
                    self._record_opened(upstream, local_only=True)
                continue
            upstream.unsent_events -= 1
            upstream.last_sent_at = self._clock()
            if action == "fail" and result.took_effect:
                self._record_opened(upstream, local_only=False)
            if not upstream.unsent_events:
                self._apply_shared(upstream, result.breaker)

    def _record_opened(self, upstream: Upstream, *, local_only: bool) -> None:
        """Count and log a breaker that this worker opened."""
        upstream.breaker.local_only = local_only
        metrics.circuits_opened.labels(upstream.provider.name).inc()
        log.warning(
            "breaker.opened",
            upstream=upstream.provider.name,
            model=upstream.model,
            local_only=local_only,
        )

    def _apply_shared(self, upstream: Upstream, shared: SharedBreakerState) -> None:
        upstream.breaker.apply_shared(shared, self._clock())
        self._update_all_closed()

    def _update_all_closed(self) -> None:
        self.all_closed = all(upstream.breaker.closed for upstream in self._upstreams)

    async def _synchronize(self) -> None:
        """Poll every `POLL_SECONDS`; between polls only read what other workers changed."""
        now = asyncio.get_running_loop().time()
        try:
            if now >= self._poll_at:
                self._poll_at = now + POLL_SECONDS
                await self.poll()
            else:
                await self.refresh()
        except ValkeyUnavailable:
            log.debug("breakers.refresh_failed")  # this worker's own results apply
