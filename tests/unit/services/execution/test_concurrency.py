"""Turns at once: limits, and a queue in which nobody's flood is another's wait."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.core.exceptions import RateLimited, Unavailable
from gateway.domain.accounts.principal import Principal
from gateway.domain.config.concurrency import ConcurrencyConfig
from gateway.services.execution.concurrency import ConcurrencyLimiter, Permit


def slots(**rules: Any) -> ConcurrencyLimiter:
    tiers = rules.pop("tiers", {})
    return ConcurrencyLimiter(ConcurrencyConfig(**{"wait_seconds": 5, **rules}), tiers)


def account(tier: str = "free") -> Principal:
    return Principal(uuid4(), "api_key", tier=tier)


class Arrivals:
    """Accounts that ask for slots, and the order in which they get them."""

    def __init__(self, room: ConcurrencyLimiter) -> None:
        self.room = room
        self.served: list[UUID] = []
        self.held: list[Permit] = []

    async def ask(self, who: Principal) -> None:
        slot = await self.room.acquire(who)
        self.served.append(who.user_id)
        self.held.append(slot)

    async def send(self, who: Principal, count: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.ask(who)) for _ in range(count)]
        await settle()
        return tasks

    async def end_one(self) -> None:
        self.held.pop(0).release()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_while_there_is_room_nobody_waits() -> None:
    room = slots(turns=3)
    held = [await room.acquire(account()) for _ in range(3)]
    assert (room.running, room.waiting) == (3, 0)
    for slot in held:
        slot.release()
        slot.release()
    assert room.running == 0


async def test_accounts_are_served_one_after_the_other_however_many_one_sends() -> None:
    coming = Arrivals(slots(turns=1))
    greedy, first, second = account(), account(), account()
    await coming.send(greedy, 10)
    await coming.send(first, 2)
    await coming.send(second, 1)
    for _ in range(6):
        await coming.end_one()
    names = {greedy.user_id: "g", first.user_id: "1", second.user_id: "2"}
    assert "".join(names[user] for user in coming.served) == "gg12g1g"


async def test_one_accounts_own_limit_holds_up_nobody_else() -> None:
    coming = Arrivals(slots(turns=10, per_account=2))
    greedy, other = account(), account()
    await coming.send(greedy, 5)
    await coming.send(other, 2)
    assert coming.served == [greedy.user_id] * 2 + [other.user_id] * 2
    await coming.end_one()
    assert coming.served[4:] == [greedy.user_id]


async def test_a_tiers_limit_is_the_lower_one() -> None:
    room = slots(turns=10, per_account=5, tiers={"free": 1, "pro": None}, wait_seconds=0)
    free, pro = account("free"), account("pro")
    await room.acquire(free)
    with pytest.raises(RateLimited) as refusal:
        await room.acquire(free)
    assert refusal.value.code == "rate_limited"
    assert refusal.value.retry_after
    for _ in range(5):
        await room.acquire(pro)
    with pytest.raises(RateLimited):
        await room.acquire(pro)


async def test_who_waits_too_long_is_told_why() -> None:
    room = slots(turns=2, per_account=1, wait_seconds=0.02)
    mine, others = account(), account()
    await room.acquire(mine)
    with pytest.raises(RateLimited):
        await room.acquire(mine)
    await room.acquire(others)
    with pytest.raises(Unavailable) as refusal:
        await room.acquire(account())
    assert (refusal.value.code, room.waiting) == ("overloaded", 0)
    assert refusal.value.retry_after


async def test_a_full_queue_refuses_at_once_and_the_greediest_makes_room() -> None:
    coming = Arrivals(slots(turns=1, queue=3))
    greedy, modest = account(), account()
    sent = await coming.send(greedy, 4)
    with pytest.raises(RateLimited):
        await coming.room.acquire(greedy)
    await coming.send(modest, 1)
    with pytest.raises(RateLimited):  # its last one gave its place
        await sent[3]
    assert coming.room.waiting == 3
    await coming.end_one()
    await coming.end_one()
    assert coming.served == [greedy.user_id, greedy.user_id, modest.user_id]


async def test_who_leaves_the_queue_leaves_no_trace() -> None:
    coming = Arrivals(slots(turns=1))
    (running, leaving, staying) = [(await coming.send(account()))[0] for _ in range(3)]
    leaving.cancel()
    await settle()
    assert coming.room.waiting == 1
    await coming.end_one()
    await asyncio.gather(running, staying)
    coming.held[0].release()
    assert (coming.room.running, coming.room.waiting) == (0, 0)


async def test_one_that_leaves_as_it_is_served_hands_its_slot_on() -> None:
    coming = Arrivals(slots(turns=1))
    (_, leaving, staying) = [(await coming.send(account()))[0] for _ in range(3)]
    coming.held.pop().release()  # `leaving` has a slot now, and does not know it
    leaving.cancel()
    await staying
    assert (coming.room.running, coming.room.waiting) == (1, 0)


async def test_at_the_end_of_the_worker_nobody_waits() -> None:
    coming = Arrivals(slots(turns=1))
    (_, waiting) = [(await coming.send(account()))[0] for _ in range(2)]
    coming.room.close(Unavailable("The gateway is restarting."))
    with pytest.raises(Unavailable):
        await waiting


async def test_higher_limits_let_those_in_who_wait() -> None:
    coming = Arrivals(slots(turns=1))
    await coming.send(account())
    await coming.send(account())
    coming.room.reconfigure(ConcurrencyConfig(turns=2), {})
    await settle()
    assert len(coming.served) == 2
