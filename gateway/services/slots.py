"""Who may run a turn now, and who waits: every account in its turn, so that one's flood is nobody else's."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from uuid import UUID

from gateway.core.exceptions import GatewayError, RateLimited, Unavailable
from gateway.domain.config.concurrency import ConcurrencyConfig
from gateway.domain.principal import Principal

_RETRY_SECONDS = 2.0


class Slot:
    """The right to run one turn, until `release`."""

    __slots__ = ("_account", "_slots")

    def __init__(self, slots: Slots, account: UUID) -> None:
        self._slots: Slots | None = slots
        self._account = account

    def release(self) -> None:
        """Let the next one run. Safe to repeat."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.give_back(self._account)


class Slots:
    """The turns of one worker. While there is room, taking a slot is a few comparisons.

    Whoever waits is served in the order of arrival among its account's, and the accounts one after the other.
    Where the queue is full, the newest of the account that has the most in it makes room.
    """

    def __init__(
        self, rules: ConcurrencyConfig | None = None, tiers: dict[str, int | None] | None = None
    ) -> None:
        self._rules = rules or ConcurrencyConfig()
        self._tiers = tiers or {}
        self._running: dict[UUID, int] = {}
        self._count = 0
        self._limits: dict[UUID, int] = {}  # of those who wait
        self._queues: OrderedDict[UUID, deque[asyncio.Future[Slot]]] = OrderedDict()
        self._waiting = 0
        self._closed: GatewayError | None = None

    @property
    def running(self) -> int:
        return self._count

    @property
    def waiting(self) -> int:
        return self._waiting

    def adopt(self, rules: ConcurrencyConfig, tiers: dict[str, int | None]) -> None:
        """From now on these are the limits; who is running runs on."""
        self._rules, self._tiers = rules, tiers
        self._serve()

    def close(self, error: GatewayError) -> None:
        """Nobody waits any longer, nor will."""
        self._closed = error
        for queue in self._queues.values():
            for waiter in queue:
                if not waiter.done():
                    waiter.set_exception(error)

    async def take(self, principal: Principal) -> Slot:
        """A slot, at once or when it is one's turn.

        Raises:
            RateLimited: the account's own turns under way left no room in time.
            Unavailable: everybody's did, or too many wait already.
        """
        account, limit = principal.user_id, self._limit(principal.tier)
        if self._count < self._rules.turns and self._running.get(account, 0) < limit:
            return self._grant(account)
        if self._closed is not None:
            raise self._closed
        if self._waiting >= self._rules.queue and not self._make_room(account):
            raise self._refusal(account, limit)
        return await self._wait(account, limit)

    def give_back(self, account: UUID) -> None:
        """A turn of the account has ended."""
        self._count -= 1
        if left := self._running[account] - 1:
            self._running[account] = left
        else:
            del self._running[account]
        self._serve()

    def _limit(self, tier: str) -> int:
        own = self._tiers.get(tier)
        return min(limit for limit in (own, self._rules.per_account, self._rules.turns) if limit is not None)

    def _grant(self, account: UUID) -> Slot:
        self._count += 1
        self._running[account] = self._running.get(account, 0) + 1
        return Slot(self, account)

    async def _wait(self, account: UUID, limit: int) -> Slot:
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(account, deque())
        queue.append(waiter)
        self._limits[account] = limit
        self._waiting += 1
        try:
            async with asyncio.timeout(self._rules.wait_seconds):
                return await waiter
        except TimeoutError:
            if waiter.done() and not waiter.cancelled():
                return waiter.result()
            raise self._refusal(account, limit) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            raise
        finally:
            self._forget(account, waiter)

    def _forget(self, account: UUID, waiter: asyncio.Future[Slot]) -> None:
        queue = self._queues.get(account)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self._waiting -= 1
            self._drop_if_empty(account)

    def _drop_if_empty(self, account: UUID) -> None:
        if not self._queues[account]:
            del self._queues[account], self._limits[account]

    def _make_room(self, account: UUID) -> bool:
        """Send the newest away of the account that has the most waiting; False where that is the asker."""
        if not self._queues:
            return False
        greedy = max(self._queues, key=lambda one: len(self._queues[one]))
        if len(self._queues[greedy]) <= len(self._queues.get(account, ())) + 1:
            return False
        waiter = self._queues[greedy].pop()
        self._waiting -= 1
        if not waiter.done():
            waiter.set_exception(self._refusal(greedy, self._limits[greedy]))
        self._drop_if_empty(greedy)
        return True

    def _serve(self) -> None:
        """Grant what there is room for: one of each account, then again."""
        served = True
        while served and self._queues and self._count < self._rules.turns:
            served = False
            for account in list(self._queues):
                if self._count >= self._rules.turns:
                    return
                if self._running.get(account, 0) >= self._limits[account]:
                    continue
                served = True
                self._next_of(account)

    def _next_of(self, account: UUID) -> None:
        queue = self._queues[account]
        waiter = queue.popleft()
        self._waiting -= 1
        self._queues.move_to_end(account)
        self._drop_if_empty(account)
        if not waiter.done():  # who has just been told that it took too long is passed over
            waiter.set_result(self._grant(account))

    def _refusal(self, account: UUID, limit: int) -> GatewayError:
        if self._running.get(account, 0) >= limit:
            return RateLimited(
                f"This account may have {limit} turns under way at once; wait for one to end.",
                retry_after=_RETRY_SECONDS,
            )
        return Unavailable(
            "More is asked for at once than can be answered; try again in a moment.",
            retry_after=_RETRY_SECONDS,
        )
