"""What is measured by looking, not by counting: turns, connections and breakers now, engines up or down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.core import metrics
from gateway.core.database import pool_figures
from gateway.domain.breaker import BreakerView

LOOK_SECONDS = 1.0
ASK_SECONDS = 5.0
_ANSWER_SECONDS = 2.0

Check = Callable[[], Awaitable[bool]]


class Counted(Protocol):
    """Turns of this worker."""

    def __len__(self) -> int: ...


class Vitals:
    """Sets this worker's gauges: Prometheus' library cannot ask another process for a figure of its own."""

    def __init__(
        self,
        engine: AsyncEngine,
        running: Counted,
        waiting: Counted,
        breakers: Callable[[], list[BreakerView]],
        *,
        database: Check,
        valkey: Check,
    ) -> None:
        self._engine = engine
        self._running = running
        self._waiting = waiting
        self._breakers = breakers
        self._upstreams: dict[str, int] = {}
        self._checks = ((metrics.database_up, database), (metrics.valkey_up, valkey))

    async def run(self) -> NoReturn:
        """Look and ask until cancelled; a slow engine does not hold up the look at the rest."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._asking())
            while True:
                self.look()
                await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """What this process knows."""
        pool = pool_figures(self._engine)
        metrics.database_pool_in_use.set(pool.in_use)
        metrics.database_pool_size.set(pool.size)
        metrics.database_pool_overflow.set(pool.overflow)
        metrics.running_turns.set(len(self._running))
        metrics.waiting_turns.set(len(self._waiting))
        # Those that a reload has taken out have nothing open any more.
        self._upstreams = dict.fromkeys(self._upstreams, 0)
        for breaker in self._breakers():
            before = self._upstreams.get(breaker.upstream, 0)
            self._upstreams[breaker.upstream] = before + (breaker.state != "closed")
        for upstream, count in self._upstreams.items():
            metrics.circuits_not_closed.labels(upstream).set(count)

    async def ask(self) -> None:
        """What only the engines can tell."""
        for gauge, check in self._checks:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    gauge.set(await check())
            except TimeoutError:
                gauge.set(0)

    async def _asking(self) -> NoReturn:
        while True:
            await self.ask()
            await asyncio.sleep(ASK_SECONDS)
