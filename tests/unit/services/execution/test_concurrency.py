"""The concurrency limiter: limits, and a queue that is fair between accounts."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.core.exceptions import RateLimited, Unavailable
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.concurrency import ConcurrencyConfig
from gateway.services.execution.concurrency import ConcurrencyLimiter, Permit


def limiter(**config: Any) -> ConcurrencyLimiter:
    tiers = config.pop("tiers", {})
    return ConcurrencyLimiter(ConcurrencyConfig(**{"wait_seconds": 5, **config}), tiers)


def account(tier: str = "free") -> Principal:
    return Principal(uuid4(), "api_key", tier=tier)


class Arrivals:
    """Accounts that acquire permits, and the order in which they get them."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.limiter = limiter
        self.served: list[UUID] = []
        self.held: list[Permit] = []

    async def acquire(self, who: Principal) -> None:
        permit = await self.limiter.acquire(who)
        self.served.append(who.user_id)
        self.held.append(permit)

    async def arrive(self, who: Principal, count: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.acquire(who)) for _ in range(count)]
        await settle()
        return tasks

    async def end_one(self) -> None:
        self.held.pop(0).release()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_below_the_limit_nobody_waits() -> None:
    limited = limiter(turns=3)
    held = [await limited.acquire(account()) for _ in range(3)]
    assert (limited.running, limited.waiting) == (3, 0)
    for permit in held:
        permit.release()
        permit.release()
    assert limited.running == 0


async def test_accounts_are_served_in_turn_however_many_turns_one_sends() -> None:
    arrivals = Arrivals(limiter(turns=1))
    busy, first, second = account(), account(), account()
    await arrivals.arrive(busy, 10)
    await arrivals.arrive(first, 2)
    await arrivals.arrive(second, 1)
    for _ in range(6):
        await arrivals.end_one()
    names = {busy.user_id: "g", first.user_id: "1", second.user_id: "2"}
    assert "".join(names[user] for user in arrivals.served) == "gg12g1g"


async def test_an_account_at_its_own_limit_does_not_delay_others() -> None:
    arrivals = Arrivals(limiter(turns=10, per_account=2))
    busy, other = account(), account()
    await arrivals.arrive(busy, 5)
    await arrivals.arrive(other, 2)
    assert arrivals.served == [busy.user_id] * 2 + [other.user_id] * 2
    await arrivals.end_one()
    assert arrivals.served[4:] == [busy.user_id]


async def test_the_lower_of_the_tiers_and_the_common_limit_applies() -> None:
    limited = limiter(turns=10, per_account=5, tiers={"free": 1, "pro": None}, wait_seconds=0)
    free, pro = account("free"), account("pro")
    await limited.acquire(free)
    with pytest.raises(RateLimited) as refusal:
        await limited.acquire(free)
    assert refusal.value.code == "rate_limited"
    assert refusal.value.retry_after
    for _ in range(5):
        await limited.acquire(pro)
    with pytest.raises(RateLimited):
        await limited.acquire(pro)


async def test_a_waiter_that_times_out_gets_the_reason() -> None:
    limited = limiter(turns=2, per_account=1, wait_seconds=0.02)
    mine, others = account(), account()
    await limited.acquire(mine)
    with pytest.raises(RateLimited):
        await limited.acquire(mine)
    await limited.acquire(others)
    with pytest.raises(Unavailable) as refusal:
        await limited.acquire(account())
    assert (refusal.value.code, limited.waiting) == ("overloaded", 0)
    assert refusal.value.retry_after


async def test_a_full_queue_rejects_the_newest_waiter_of_the_busiest_account() -> None:
    arrivals = Arrivals(limiter(turns=1, queue=3))
    busy, modest = account(), account()
    sent = await arrivals.arrive(busy, 4)
    with pytest.raises(RateLimited):
        await arrivals.limiter.acquire(busy)
    await arrivals.arrive(modest, 1)
    with pytest.raises(RateLimited):  # its newest waiter was evicted
        await sent[3]
    assert arrivals.limiter.waiting == 3
    await arrivals.end_one()
    await arrivals.end_one()
    assert arrivals.served == [busy.user_id, busy.user_id, modest.user_id]


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    arrivals = Arrivals(limiter(turns=1))
    (running, leaving, staying) = [(await arrivals.arrive(account()))[0] for _ in range(3)]
    leaving.cancel()
    await settle()
    assert arrivals.limiter.waiting == 1
    await arrivals.end_one()
    await asyncio.gather(running, staying)
    arrivals.held[0].release()
    assert (arrivals.limiter.running, arrivals.limiter.waiting) == (0, 0)


async def test_a_waiter_cancelled_while_it_is_granted_passes_its_permit_on() -> None:
    arrivals = Arrivals(limiter(turns=1))
    (_, leaving, staying) = [(await arrivals.arrive(account()))[0] for _ in range(3)]
    arrivals.held.pop().release()  # `leaving` is granted the permit but has not run yet
    leaving.cancel()
    await staying
    assert (arrivals.limiter.running, arrivals.limiter.waiting) == (1, 0)


async def test_closing_rejects_the_waiters() -> None:
    arrivals = Arrivals(limiter(turns=1))
    (_, waiting) = [(await arrivals.arrive(account()))[0] for _ in range(2)]
    arrivals.limiter.close(Unavailable("The gateway is restarting."))
    with pytest.raises(Unavailable):
        await waiting


async def test_higher_limits_admit_waiters_at_once() -> None:
    arrivals = Arrivals(limiter(turns=1))
    await arrivals.arrive(account())
    await arrivals.arrive(account())
    arrivals.limiter.reconfigure(ConcurrencyConfig(turns=2), {})
    await settle()
    assert len(arrivals.served) == 2
