"""One call for concurrent identical requests, with leaders that fail or die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from gateway.cache.client import ValkeyClient
from gateway.cache.response_cache import ResponseCache
from gateway.domain.caching.answer import CachedAnswer
from gateway.domain.config.caches import ExactCache
from gateway.services.response_cache.single_flight import FlightResult, NotShared, SharedAnswer, SingleFlight

ANSWER = CachedAnswer("r", 0.0, "Hi", "", "small", "up", "stop", (), (), "chat", 0.0, "small", "Because.")
KEY = b"k" * 32


@pytest.fixture
async def valkey(redis_url: str) -> AsyncIterator[ValkeyClient]:
    client = ValkeyClient(redis_url, deadline=5)
    await client.execute("FLUSHDB")
    yield client
    await client.aclose()


@pytest.fixture
def account() -> UUID:
    return uuid4()


class Asking:
    """Calls that the test ends one by one, each with a result."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[FlightResult]] = []
        self._more = asyncio.Event()

    async def __call__(self) -> FlightResult:
        call: asyncio.Future[FlightResult] = asyncio.get_running_loop().create_future()
        self.calls.append(call)
        self._more.set()
        return await call

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.calls) < count:
                self._more.clear()
                await self._more.wait()


def single_flight(valkey: ValkeyClient, *, lease_ms: int = 5000, **config: int) -> SingleFlight:
    return SingleFlight(ResponseCache(valkey, ExactCache(**config), lease_ms=lease_ms))


async def settle() -> None:
    """Run every task that can continue."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_waiters_get_the_leaders_answer(valkey: ValkeyClient, account: UUID) -> None:
    here, ask = single_flight(valkey), Asking()
    tasks = [asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10)) for _ in range(10)]
    await ask.until(1)
    ask.calls[0].set_result(SharedAnswer(ANSWER))
    received = await asyncio.gather(*tasks)
    assert received.count(None) == 1
    assert [shared.answer for shared in received if shared is not None] == [ANSWER] * 9
    await here.aclose()
    assert (await single_flight(valkey).run(account, KEY, ask, max_wait_seconds=10)) is not None
    assert len(ask.calls) == 1


async def test_one_waiter_takes_over_from_a_failed_leader(valkey: ValkeyClient, account: UUID) -> None:
    here, ask = single_flight(valkey), Asking()
    tasks = [asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10)) for _ in range(10)]
    await ask.until(1)
    ask.calls[0].set_result(NotShared.FAILED)
    await ask.until(2)
    await settle()
    assert len(ask.calls) == 2
    ask.calls[1].set_result(SharedAnswer(ANSWER))
    received = await asyncio.gather(*tasks)
    assert received.count(None) == 2
    await here.aclose()


async def test_one_waiter_takes_over_from_a_cancelled_or_crashed_leader(
    valkey: ValkeyClient, account: UUID
) -> None:
    here, ask = single_flight(valkey), Asking()
    leader = asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10))
    await ask.until(1)
    tasks = [asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10)) for _ in range(5)]
    await settle()
    leader.cancel()
    await ask.until(2)
    ask.calls[1].set_exception(RuntimeError("a bug"))
    await ask.until(3)
    ask.calls[2].set_result(SharedAnswer(ANSWER))
    received = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, SharedAnswer) for one in received) == 3
    assert len(ask.calls) == 3
    await here.aclose()


async def test_waiters_call_themselves_if_the_answer_is_not_shareable(
    valkey: ValkeyClient, account: UUID
) -> None:
    here, ask = single_flight(valkey), Asking()
    tasks = [asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10)) for _ in range(4)]
    await ask.until(1)
    ask.calls[0].set_result(NotShared.NOT_SHAREABLE)
    await ask.until(4)
    for call in ask.calls[1:]:
        call.set_result(NotShared.NOT_SHAREABLE)
    assert await asyncio.gather(*tasks) == [None] * 4
    await here.aclose()


async def test_waiters_stop_waiting_at_their_limit(valkey: ValkeyClient, account: UUID) -> None:
    here, there, ask = single_flight(valkey), single_flight(valkey), Asking()
    leader = asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10))
    await ask.until(1)
    hasty = [
        asyncio.create_task(worker.run(account, KEY, ask, max_wait_seconds=0.05)) for worker in (here, there)
    ]
    await ask.until(3)
    for call in ask.calls:
        call.set_result(SharedAnswer(ANSWER))
    assert await asyncio.gather(leader, *hasty) == [None] * 3
    await asyncio.gather(here.aclose(), there.aclose())


async def test_another_worker_takes_over_from_a_dead_leader(valkey: ValkeyClient, account: UUID) -> None:
    dead = ResponseCache(valkey, ExactCache(), lease_ms=200)
    assert (await dead.get_or_lease(account, KEY, b"of a process that was killed")).has_lease
    there, ask = single_flight(valkey, lease_ms=200), Asking()
    waiting = asyncio.create_task(there.run(account, KEY, ask, max_wait_seconds=10))
    await ask.until(1)
    ask.calls[0].set_result(SharedAnswer(ANSWER))
    assert await waiting is None
    await there.aclose()


async def test_a_leader_renews_its_lease(valkey: ValkeyClient, account: UUID) -> None:
    here, there, ask = single_flight(valkey, lease_ms=3000), single_flight(valkey), Asking()
    leader = asyncio.create_task(here.run(account, KEY, ask, max_wait_seconds=10))
    await ask.until(1)
    await valkey.execute("PEXPIRE", f"answering:{KEY.hex()}", 60_000)
    waiting = asyncio.create_task(there.run(account, KEY, ask, max_wait_seconds=30))
    assert await shortened(valkey, f"answering:{KEY.hex()}", 3000)
    assert len(ask.calls) == 1
    ask.calls[0].set_result(SharedAnswer(ANSWER))
    assert await leader is None
    received = await waiting
    assert received is not None
    assert received.answer == ANSWER
    await here.aclose()


async def shortened(valkey: ValkeyClient, name: str, most_ms: int) -> bool:
    """Whether the expiry is renewed soon; Valkey sends no event for it."""
    for _ in range(1000):
        if await valkey.execute("PTTL", name) <= most_ms:
            return True
        await asyncio.sleep(0.02)
    return False


async def test_cached_answers_expire_are_bounded_and_deleted_with_their_account(
    valkey: ValkeyClient, account: UUID
) -> None:
    small = ResponseCache(valkey, ExactCache(ttl_seconds=100, max_entries=3, max_bytes=10))
    for at in range(9):
        await small.store(account, bytes([at]), b"me", b"answer")
    assert await valkey.execute("HLEN", f"answers:{account.hex}") == 3
    assert (await small.get_or_lease(account, bytes([8]), b"me")).answer == b"answer"
    assert 0 < await valkey.execute("TTL", f"answers:{account.hex}") <= 100
    await small.store(account, b"large", b"me", b"an answer too large")
    assert (await small.get_or_lease(account, b"large", b"me")).has_lease
    await small.delete_account(account)
    assert (await small.get_or_lease(account, bytes([8]), b"me")).answer is None


async def test_an_expired_entry_is_not_used_even_if_newer_ones_exist(
    valkey: ValkeyClient, account: UUID
) -> None:
    cache = ResponseCache(valkey, ExactCache(ttl_seconds=100))
    await cache.store(account, b"old", b"me", b"answer")
    await valkey.execute("HSET", f"answers:{account.hex}", b"old", b"1:answer")
    await cache.store(account, b"new", b"me", b"answer")
    assert (await cache.get_or_lease(account, b"old", b"me")).has_lease
    assert await valkey.execute("HEXISTS", f"answers:{account.hex}", b"old") == 0
