"""Who may run a turn now, and who waits: every account in its turn, so that one's flood is nobody else's."""

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

    __slots__ = ("_account", "_limiter")

    def __init__(self, limiter: ConcurrencyLimiter, account: UUID) -> None:
        self._limiter: ConcurrencyLimiter | None = limiter
        self._account = account

    def release(self) -> None:
        """Let the next one run. Safe to repeat."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.release(self._account)


class ConcurrencyLimiter:
    """The turns of one worker. While there is room, taking a slot is a few comparisons.

    Whoever waits is served in the order of arrival among its account's, and the accounts one after the other.
    Where the queue is full, the newest of the account that has the most in it makes room.
    """

    def __init__(
        self, config: ConcurrencyConfig | None = None, tier_limits: dict[str, int | None] | None = None
    ) -> None:
        self._config = config or ConcurrencyConfig()
        self._tier_limits = tier_limits or {}
        self._running_by_account: dict[UUID, int] = {}
        self._running_total = 0
        self._waiting_limits: dict[UUID, int] = {}  # of those who wait
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
        """From now on these are the limits; who is running runs on."""
        self._config, self._tier_limits = config, tier_limits
        self._grant_waiting()

    def close(self, error: GatewayError) -> None:
        """Nobody waits any longer, nor will."""
        self._closed = error
        for queue in self._queues.values():
            for waiter in queue:
                if not waiter.done():
                    waiter.set_exception(error)

    async def acquire(self, principal: Principal) -> Permit:
        """A slot, at once or when it is one's turn.

        Raises:
            RateLimited: the account's own turns under way left no room in time.
            Unavailable: everybody's did, or too many wait already.
        """
        account, limit = principal.user_id, self._limit(principal.tier)
        if self._running_total < self._config.turns and self._running_by_account.get(account, 0) < limit:
            return self._grant(account)
        if self._closed is not None:
            raise self._closed
        if self._waiting_total >= self._config.queue and not self._evict_newest(account):
            raise self._rejection(account, limit)
        return await self._wait(account, limit)

    def release(self, account: UUID) -> None:
        """A turn of the account has ended."""
        self._running_total -= 1
        if remaining := self._running_by_account[account] - 1:
            self._running_by_account[account] = remaining
        else:
            del self._running_by_account[account]
        self._grant_waiting()

    def _limit(self, tier: str) -> int:
        own = self._tier_limits.get(tier)
        return min(
            limit for limit in (own, self._config.per_account, self._config.turns) if limit is not None
        )

    def _grant(self, account: UUID) -> Permit:
        self._running_total += 1
        self._running_by_account[account] = self._running_by_account.get(account, 0) + 1
        return Permit(self, account)

    async def _wait(self, account: UUID, limit: int) -> Permit:
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(account, deque())
        queue.append(waiter)
        self._waiting_limits[account] = limit
        self._waiting_total += 1
        try:
            async with asyncio.timeout(self._config.wait_seconds):
                return await waiter
        except TimeoutError:
            if waiter.done() and not waiter.cancelled():
                return waiter.result()
            raise self._rejection(account, limit) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            raise
        finally:
            self._remove_waiter(account, waiter)

    def _remove_waiter(self, account: UUID, waiter: asyncio.Future[Permit]) -> None:
        queue = self._queues.get(account)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._waiting_total -= 1
            self._drop_if_empty(account)

    def _drop_if_empty(self, account: UUID) -> None:
        if not self._queues[account]:
            del self._queues[account], self._waiting_limits[account]

    def _evict_newest(self, account: UUID) -> bool:
        """Send the newest away of the account that has the most waiting; False where that is the asker."""
        if not self._queues:
            return False
        busiest = max(self._queues, key=lambda one: len(self._queues[one]))
        if len(self._queues[busiest]) <= len(self._queues.get(account, ())) + 1:
            return False
        waiter = self._queues[busiest].pop()
        self._waiting_total -= 1
        if not waiter.done():
            waiter.set_exception(self._rejection(busiest, self._waiting_limits[busiest]))
        self._drop_if_empty(busiest)
        return True

    def _grant_waiting(self) -> None:
        """Grant what there is room for: one of each account, then again."""
        granted = True
        while granted and self._queues and self._running_total < self._config.turns:
            granted = False
            for account in list(self._queues):
                if self._running_total >= self._config.turns:
                    return
                if self._running_by_account.get(account, 0) >= self._waiting_limits[account]:
                    continue
                granted = True
                self._grant_next(account)

    def _grant_next(self, account: UUID) -> None:
        queue = self._queues[account]
        waiter = queue.popleft()
        self._waiting_total -= 1
        self._queues.move_to_end(account)
        self._drop_if_empty(account)
        if not waiter.done():  # who has just been told that it took too long is passed over
            waiter.set_result(self._grant(account))

    def _rejection(self, account: UUID, limit: int) -> GatewayError:
        if self._running_by_account.get(account, 0) >= limit:
            return RateLimited(
                f"This account may have {limit} turns under way at once; wait for one to end.",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        return Unavailable(
            "More is asked for at once than can be answered; try again in a moment.",
            retry_after=_RETRY_AFTER_SECONDS,
        )
