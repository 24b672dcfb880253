"""Failed attempts delay the next one, in Valkey and locally without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from gateway.cache.client import ValkeyClient
from gateway.cache.failed_attempts import FailedAttemptStore
from gateway.domain.accounts.backoff import BackoffPolicy, BackoffSubject


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    """Attempts in one of the two places, and a way to let time pass there."""

    attempts: FailedAttemptStore
    valkey: ValkeyClient
    clock: Clock

    async def later(self, seconds: float, *subjects: BackoffSubject) -> None:
        self.clock.now += seconds
        for subject in subjects if self.valkey.configured else ():
            key = f"attempts:{subject.name}"
            for field in ("at", "until"):
                value = float(await self.valkey.execute("HGET", key, field))
                await self.valkey.execute("HSET", key, field, value - seconds)


@pytest.fixture(params=["valkey", "local"])
async def store(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Store]:
    valkey = ValkeyClient(redis_url if request.param == "valkey" else "")
    clock = Clock()
    yield Store(FailedAttemptStore(valkey, clock), valkey, clock)
    await valkey.aclose()


def subject(**policy: float) -> BackoffSubject:
    return BackoffSubject(uuid4().hex, BackoffPolicy(**{"free_attempts": 3, **policy}))


async def spend(store: Store, whose: BackoffSubject, times: int) -> None:
    for _ in range(times):
        assert await store.attempts.record(whose) == 0


async def test_wait_doubles_with_each_failure_up_to_the_maximum(store: Store) -> None:
    whose = subject(max_delay=6)
    await spend(store, whose, 3)
    for expected in (1, 2, 4, 6, 6):
        wait = await store.attempts.record(whose)
        assert expected - 0.5 < wait <= expected
        await store.later(wait, whose)
        assert await store.attempts.record(whose) == 0


async def test_first_wait_may_be_longer_than_a_second(store: Store) -> None:
    whose = subject(first_delay=60)
    await spend(store, whose, 3)
    assert 59 < await store.attempts.record(whose) <= 60


async def test_rejected_attempts_do_not_extend_the_wait(store: Store) -> None:
    whose = subject()
    await spend(store, whose, 3)
    for _ in range(20):
        assert 0 < await store.attempts.record(whose) <= 1
    await store.later(1, whose)
    assert await store.attempts.record(whose) == 0


async def test_of_concurrent_attempts_only_the_free_ones_pass(store: Store) -> None:
    whose = subject(free_attempts=5)
    waits = await asyncio.gather(*(store.attempts.record(whose) for _ in range(40)))
    assert waits.count(0.0) == 5


async def test_success_clears_all_failures(store: Store) -> None:
    whose = subject()
    await spend(store, whose, 3)
    await store.attempts.clear(whose)
    await spend(store, whose, 3)
    assert await store.attempts.record(whose) > 0


async def test_forgiven_attempt_is_subtracted(store: Store) -> None:
    whose = subject()
    await spend(store, whose, 3)
    await store.attempts.forgive(whose)
    assert await store.attempts.record(whose) == 0
    assert await store.attempts.record(whose) > 0
    await store.attempts.forgive(subject())  # of somebody who never tried


async def test_failures_decay_over_time(store: Store) -> None:
    whose = subject(forgive_every=10)
    await spend(store, whose, 2)
    await store.later(20, whose)
    await spend(store, whose, 3)
    assert await store.attempts.record(whose) > 0


async def test_attempt_rejected_for_one_subject_is_not_recorded_for_another(store: Store) -> None:
    slow, other = subject(), subject()
    await spend(store, slow, 3)
    for _ in range(5):
        assert await store.attempts.record(slow, other) > 0
    await spend(store, other, 3)


async def test_all_failures_expire(store: Store) -> None:
    whose = subject(reset_after=120)
    await spend(store, whose, 3)
    if store.valkey.configured:
        assert 0 < await store.valkey.execute("TTL", f"attempts:{whose.name}") <= 120
    else:
        await store.later(121)
        await spend(store, whose, 3)


async def test_process_counts_locally_when_valkey_is_down() -> None:
    valkey = ValkeyClient("redis://127.0.0.1:1/0")  # nobody listens there
    attempts, whose = FailedAttemptStore(valkey), subject()
    assert [await attempts.record(whose) for _ in range(3)] == [0, 0, 0]
    assert await attempts.record(whose) > 0
    await attempts.clear(whose)
    assert await attempts.record(whose) == 0
    await valkey.aclose()
