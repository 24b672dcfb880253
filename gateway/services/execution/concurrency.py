"""Limits concurrent turns and queues the rest, fairly between accounts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from uuid import UUID

from gateway.core.exceptions import GatewayError, RateLimited, Unavailable
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.concurrency import ConcurrencyConfig

_RETRY_AFTER_SECONDS = 2.0


class Permit:
    """The right to run one turn, until `release`."""

    __slots__ = ("_account_id", "_limiter")

    def __init__(self, limiter: ConcurrencyLimiter, account_id: UUID) -> None:
        self._limiter: ConcurrencyLimiter | None = limiter
        self._account_id = account_id

    def release(self) -> None:
        """Release the permit. Safe to repeat."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.release(self._account_id)


class ConcurrencyLimiter:
    """Limits the turns of one worker.

    Below the limits, acquiring a permit takes a few comparisons. Waiters are served round-robin between
    accounts, and in order of arrival within one. When the queue is full, the newest waiter of the account
    with the most waiters is rejected.
    """

    def __init__(
        self, config: ConcurrencyConfig | None = None, tier_limits: dict[str, int | None] | None = None
    ) -> None:
        self._config = config or ConcurrencyConfig()
        self._tier_limits = tier_limits or {}
        self._running_by_account: dict[UUID, int] = {}
        self._running_total = 0
        self._waiting_limits: dict[UUID, int] = {}  # the limit of each account that waits
        self._queues: OrderedDict[UUID, deque[asyncio.Future[Permit]]] = OrderedDict()
        self._waiting_total = 0
        self._closed: GatewayError | None = None

    @property
    def running(self) -> int:
        return self._running_total

    @property
    def waiting(self) -> int:
        return self._waiting_total

    def reconfigure(self, config: ConcurrencyConfig, tier_limits: dict[str, int | None]) -> None:
        """Apply new limits; turns that already run are not affected."""
        self._config, self._tier_limits = config, tier_limits
        self._grant_waiting()

    def close(self, error: GatewayError) -> None:
        """Reject all waiters and every later request for a permit."""
        self._closed = error
        for queue in self._queues.values():
            for waiter in queue:
                if not waiter.done():
                    waiter.set_exception(error)

    async def acquire(self, principal: Principal) -> Permit:
        """Return a permit, at once or after waiting in the queue.

        Raises:
            RateLimited: the account's own running turns left no permit in time.
            Unavailable: those of all accounts did, or the queue is full.
        """
        account_id, limit = principal.user_id, self._limit(principal.tier)
        running = self._running_by_account.get(account_id, 0)
        if self._running_total < self._config.turns and running < limit:
            return self._grant(account_id)
        if self._closed is not None:
            raise self._closed
        if self._waiting_total >= self._config.queue and not self._evict_newest(account_id):
            raise self._rejection(account_id, limit)
        return await self._wait(account_id, limit)

    def release(self, account_id: UUID) -> None:
        """Record that a turn of the account has ended."""
        self._running_total -= 1
        if remaining := self._running_by_account[account_id] - 1:
            self._running_by_account[account_id] = remaining
        else:
            del self._running_by_account[account_id]
        self._grant_waiting()

    def _limit(self, tier: str) -> int:
        limits = (self._tier_limits.get(tier), self._config.per_account, self._config.turns)
        return min(limit for limit in limits if limit is not None)

    def _grant(self, account_id: UUID) -> Permit:
        self._running_total += 1
        self._running_by_account[account_id] = self._running_by_account.get(account_id, 0) + 1
        return Permit(self, account_id)

    async def _wait(self, account_id: UUID, limit: int) -> Permit:
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(account_id, deque()).append(waiter)
        self._waiting_limits[account_id] = limit
        self._waiting_total += 1
        try:
            async with asyncio.timeout(self._config.wait_seconds):
                return await waiter
        except TimeoutError:
            if waiter.done() and not waiter.cancelled():
                return waiter.result()
            raise self._rejection(account_id, limit) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            raise
        finally:
            self._remove_waiter(account_id, waiter)

    def _remove_waiter(self, account_id: UUID, waiter: asyncio.Future[Permit]) -> None:
        queue = self._queues.get(account_id)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._waiting_total -= 1
            self._drop_if_empty(account_id)

    def _drop_if_empty(self, account_id: UUID) -> None:
        if not self._queues[account_id]:
            del self._queues[account_id], self._waiting_limits[account_id]

    def _evict_newest(self, account_id: UUID) -> bool:
        """Reject the newest waiter of the account with the most waiters.

        Return False, and reject none, if that account is `account_id`.
        """
        if not self._queues:
            return False
        busiest = max(self._queues, key=lambda each: len(self._queues[each]))
        if len(self._queues[busiest]) <= len(self._queues.get(account_id, ())) + 1:
            return False
        waiter = self._queues[busiest].pop()
        self._waiting_total -= 1
        if not waiter.done():
            waiter.set_exception(self._rejection(busiest, self._waiting_limits[busiest]))
        self._drop_if_empty(busiest)
        return True

    def _grant_waiting(self) -> None:
        """Grant free permits to waiters, round-robin between accounts."""
        granted = True
        while granted and self._queues and self._running_total < self._config.turns:
            granted = False
            for account_id in list(self._queues):
                if self._running_total >= self._config.turns:
                    return
                if self._running_by_account.get(account_id, 0) >= self._waiting_limits[account_id]:
                    continue
                granted = True
                self._grant_next(account_id)

    def _grant_next(self, account_id: UUID) -> None:
        waiter = self._queues[account_id].popleft()
        self._waiting_total -= 1
        self._queues.move_to_end(account_id)
        self._drop_if_empty(account_id)
        if not waiter.done():  # a waiter that has just timed out is skipped
            waiter.set_result(self._grant(account_id))

    def _rejection(self, account_id: UUID, limit: int) -> GatewayError:
        if self._running_by_account.get(account_id, 0) >= limit:
            return RateLimited(
                f"This account may run {limit} turns at once. Wait for one to end.",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        return Unavailable(
            "The gateway is at its concurrency limit. Try again in a moment.",
            retry_after=_RETRY_AFTER_SECONDS,
        )
