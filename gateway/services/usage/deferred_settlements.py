"""Settlements while the database is down: retried at once, then deferred, and always logged."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, TypeVar
from uuid import UUID

import structlog

from gateway.core.exceptions import GatewayError, Unavailable
from gateway.core.metrics import registry as metrics
from gateway.domain.usage.turn_records import UsageEntry, UsageOwner

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Delays in seconds between attempts to settle while the database is down. They cover a database restart, so
# that a completed answer is still stored.
RETRY_DELAYS = (0.05, 0.25, 0.7, 1.0, 1.0, 1.0)
# Settlements that wait for the database; beyond this the oldest are only in the log.
_MAX_DEFERRED = 10_000


class _Settlement(NamedTuple):
    """A settlement that waits for the database, and its reservation."""

    write: Callable[[], Awaitable[object]]
    reservation_id: UUID | None


class DeferredSettlements:
    """A queue of settlements to retry; `on_done` is called with the reservation of each that leaves it."""

    def __init__(self, on_done: Callable[[UUID | None], None]) -> None:
        self._on_done = on_done
        self._queue: deque[_Settlement] = deque()

    def add(self, write: Callable[[], Awaitable[object]], reservation_id: UUID | None) -> None:
        """Retry `write` later; the oldest settlement is dropped if there are too many."""
        if len(self._queue) == _MAX_DEFERRED:
            self._on_done(self._queue.popleft().reservation_id)
        self._queue.append(_Settlement(write, reservation_id))

    async def retry(self) -> None:
        """Retry all. Raises Unavailable while the database is unreachable."""
        while self._queue:
            try:
                await self._queue[0].write()
            except GatewayError:
                raise
            except Exception:  # retrying would fail again; the usage is already in the log
                log.exception("settlement.abandoned")
            else:
                log.info("settlement.retried")
            self._on_done(self._queue.popleft().reservation_id)


async def with_retry(write: Callable[[], Awaitable[T]]) -> T:
    for delay in RETRY_DELAYS:
        try:
            return await write()
        except Unavailable:
            await asyncio.sleep(delay)
    return await write()


def log_failed_settlement(owner: UsageOwner, calls: Collection[UsageEntry]) -> None:
    metrics.settlements_failed.inc()
    log.error(
        "settlement.failed",
        request_id=owner.request_id,
        user_id=str(owner.user_id),
        api_key_id=str(owner.api_key_id) if owner.api_key_id else None,
        calls=[
            {
                "id": str(call.id),
                "kind": call.kind,
                "model": call.model,
                **call.usage.as_json(),
                "cost_usd": str(call.cost_usd),
            }
            for call in calls
        ],
    )
