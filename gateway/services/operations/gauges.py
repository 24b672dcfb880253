"""Updates gauges: running turns, connections, open breakers, engine health."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sized

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core.aio import run_every
from gateway.core.database import pool_stats
from gateway.core.metrics import registry as metrics
from gateway.domain.circuit_breaker import BreakerView

LOCAL_INTERVAL_SECONDS = 1.0
PROBE_INTERVAL_SECONDS = 5.0
_PROBE_TIMEOUT_SECONDS = 2.0

Check = Callable[[], Awaitable[bool]]


class GaugeUpdater:
    """Sets this worker's gauges; the Prometheus library cannot query other processes."""

    def __init__(
        self,
        engine: AsyncEngine,
        running: Sized,
        waiting: Sized,
        breakers: Callable[[], list[BreakerView]],
        *,
        database: Check,
        valkey: Check,
    ) -> None:
        self._engine = engine
        self._running = running
        self._waiting = waiting
        self._breakers = breakers
        self._open_breakers: dict[str, int] = {}
        self._checks = ((metrics.database_up, database), (metrics.valkey_up, valkey))

    async def run(self) -> None:
        """Update and probe until cancelled; a slow engine does not delay the local gauges."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                run_every(PROBE_INTERVAL_SECONDS, self.probe, on_failure="gauges.failed", immediately=True)
            )
            while True:
                self.update_local()
                await asyncio.sleep(LOCAL_INTERVAL_SECONDS)

    def update_local(self) -> None:
        """Update the gauges that this process knows."""
        pool = pool_stats(self._engine)
        metrics.database_pool_in_use.set(pool.in_use)
        metrics.database_pool_size.set(pool.size)
        metrics.database_pool_overflow.set(pool.overflow)
        metrics.running_turns.set(len(self._running))
        metrics.waiting_turns.set(len(self._waiting))
        # Upstreams that a reload removed have no open breakers.
        self._open_breakers = dict.fromkeys(self._open_breakers, 0)
        for breaker in self._breakers():
            count_so_far = self._open_breakers.get(breaker.upstream, 0)
            self._open_breakers[breaker.upstream] = count_so_far + (breaker.state != "closed")
        for upstream, count in self._open_breakers.items():
            metrics.circuits_not_closed.labels(upstream).set(count)

    async def probe(self) -> None:
        """Probe the database and Valkey."""
        for gauge, check in self._checks:
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                    gauge.set(await check())
            except TimeoutError:
                gauge.set(0)
