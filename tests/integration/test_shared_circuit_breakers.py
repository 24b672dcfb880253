"""Circuit breakers shared by workers through Valkey, and without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from gateway.agent.routing.upstream import Upstream
from gateway.agent.routing.upstream_pool import UpstreamPool
from gateway.cache.circuit_breakers import CHANNEL, KEY, CircuitBreakerStore
from gateway.cache.client import ValkeyClient
from gateway.cache.pubsub import PubSub
from gateway.core.exceptions import CircuitOpen, UpstreamUnavailable
from gateway.core.metrics import registry as metrics
from gateway.domain.circuit_breaker import BreakerState
from gateway.domain.config.catalog import Catalog
from gateway.providers.registry import build_providers
from tests.support.agent import make_catalog

RESET = 0.3


class Worker:
    """One worker's view of the upstream `one`."""

    def __init__(self, upstreams: UpstreamPool, valkey: ValkeyClient, store: CircuitBreakerStore) -> None:
        self.upstreams = upstreams
        self.store = store
        self.valkey = valkey
        self.upstream: Upstream = upstreams.get("one", "one")

    async def call(self, *, well: bool, probe: str | None = None) -> None:
        """One call that ends so, and is known to Valkey."""
        try:
            with self.upstreams.track(self.upstream, probe):
                if not well:
                    raise UpstreamUnavailable
        except UpstreamUnavailable:
            pass
        await self.upstreams.breakers.flush()

    async def fail(self, times: int) -> None:
        for _ in range(times):
            await self.call(well=False)

    async def probe(self) -> str | None:
        return (await self.upstreams.choose(("one",))).probe

    async def probe_where_open(self) -> str | None:
        """As `probe`; None also while there is nothing to ask, or somebody else asks."""
        try:
            return await self.probe()
        except CircuitOpen:
            return None

    async def until(self, state: BreakerState, failures: int | None = None) -> None:
        """What the others found out arrives by itself."""
        async with asyncio.timeout(30):
            while True:
                [view] = self.upstreams.breaker_views()
                if view.state == state and failures in (None, view.failures):
                    return
                await asyncio.sleep(0.005)


@asynccontextmanager
async def worker(
    redis_url: str, *, reset: float = RESET, lease: float = 15, watching: bool = True
) -> AsyncIterator[Worker]:
    config: Catalog = make_catalog(
        {"one": "http://127.0.0.1:1/v1"}, circuit_breaker={"failures": 3, "reset_seconds": reset}
    )
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient())
        valkey = ValkeyClient(redis_url)
        stack.push_async_callback(valkey.aclose)
        pubsub = PubSub(valkey)
        store = CircuitBreakerStore(valkey, pubsub, config.circuit_breaker, lease_seconds=lease)
        upstreams = UpstreamPool(config, build_providers(config, http).all, store)
        if watching:
            await stack.enter_async_context(pubsub.running())
            await stack.enter_async_context(upstreams.running())
        yield Worker(upstreams, valkey, store)


@pytest.fixture
async def pair(clean_redis: str) -> AsyncIterator[tuple[Worker, Worker]]:
    async with worker(clean_redis) as here, worker(clean_redis) as there:
        yield here, there


async def test_failures_of_all_workers_count_together(pair: tuple[Worker, Worker]) -> None:
    here, there = pair
    before = metrics.registry.get_sample_value("gateway_circuit_open_total", {"upstream": "one"}) or 0
    await here.fail(2)
    await there.until("closed", failures=2)
    await there.fail(1)
    await here.until("open")
    assert not there.upstream.breaker.closed
    after = metrics.registry.get_sample_value("gateway_circuit_open_total", {"upstream": "one"})
    assert after == before + 1


async def test_a_success_of_any_worker_resets_the_count(pair: tuple[Worker, Worker]) -> None:
    here, there = pair
    await here.fail(2)
    await there.until("closed", failures=2)
    await there.call(well=True)
    await here.until("closed", failures=0)
    await here.fail(2)
    assert here.upstream.breaker.closed


async def test_successes_of_a_closed_breaker_are_not_sent(pair: tuple[Worker, Worker]) -> None:
    here, _ = pair
    for _ in range(5):
        await here.call(well=True)
    assert await here.valkey.execute("EXISTS", KEY) == 0
    assert here.upstream.last_sent_at == 0


async def test_exactly_one_worker_probes_and_closes_the_breaker_for_all(pair: tuple[Worker, Worker]) -> None:
    here, there = pair
    await here.fail(3)
    await there.until("open")
    await asyncio.gather(here.until("half_open"), there.until("half_open"))
    tokens = await asyncio.gather(*(one.probe() for one in (here, there) for _ in range(20)))
    granted = [token for token in tokens if token is not None]
    assert len(granted) == 1
    prober = here if tokens.index(granted[0]) < 20 else there
    await prober.call(well=True, probe=granted[0])
    await asyncio.gather(here.until("closed", 0), there.until("closed", 0))
    assert await here.valkey.execute("EXISTS", KEY) == 0


async def test_a_failed_probe_reopens_the_breaker_for_all(pair: tuple[Worker, Worker]) -> None:
    here, there = pair
    await here.fail(3)
    await here.until("half_open")
    token = await here.probe()
    assert token is not None
    await there.until("half_open")
    await here.call(well=False, probe=token)
    await there.until("open")


async def test_a_released_probe_is_available_to_another_worker(pair: tuple[Worker, Worker]) -> None:
    here, there = pair
    await here.fail(3)
    await there.until("half_open")
    token = await here.probe()
    assert token is not None
    assert await there.probe() is None
    here.upstreams.release_probe(here.upstream, token)
    await here.upstreams.breakers.flush()
    async with asyncio.timeout(30):
        while await there.probe() is None:  # noqa: ASYNC110 - no event says when it may
            await asyncio.sleep(0.005)


async def test_the_probe_of_a_crashed_worker_expires(clean_redis: str) -> None:
    async with worker(clean_redis, lease=0.2, watching=False) as dead:
        await dead.fail(3)
        await dead.until("half_open")
        assert await dead.probe() is not None
    async with worker(clean_redis, lease=0.2) as alive:
        await alive.until("half_open")
        async with asyncio.timeout(30):
            while await alive.probe() is None:  # noqa: ASYNC110 - the lease runs out in Valkey
                await asyncio.sleep(0.01)


async def test_a_long_probe_is_renewed(clean_redis: str) -> None:
    async with worker(clean_redis, lease=5, watching=False) as here:
        await here.fail(3)
        await here.until("half_open")
        assert await here.probe() is not None
        store = here.store
        before = (await store.read())[here.upstream.key].seconds_until_probe
        await asyncio.sleep(0.05)
        await here.upstreams.breakers.poll()
        assert (await store.read())[here.upstream.key].seconds_until_probe > before - 0.05


async def test_polling_finds_changes_whose_message_was_lost(clean_redis: str) -> None:
    async with (
        worker(clean_redis, reset=60, watching=False) as here,
        worker(clean_redis, reset=60, watching=False) as there,
    ):
        await here.fail(3)
        assert there.upstream.breaker.closed
        await there.upstreams.breakers.poll()
        assert not there.upstream.breaker.closed
        await here.valkey.execute("DEL", KEY)
        await there.upstreams.breakers.poll()
        assert there.upstream.breaker.closed


async def test_a_new_worker_reads_open_breakers_at_once(clean_redis: str) -> None:
    async with worker(clean_redis, reset=60) as here:
        await here.fail(3)
        async with worker(clean_redis, reset=60) as late:
            await late.until("open")


async def test_without_valkey_each_worker_uses_its_own_results() -> None:
    async with worker("redis://127.0.0.1:1", watching=False) as alone:
        await alone.fail(3)
        assert not alone.upstream.breaker.closed
        await alone.until("half_open")
        token = await alone.probe()
        assert token is not None
        assert await alone.probe() is None
        await alone.call(well=True, probe=token)
        assert alone.upstream.breaker.closed


@pytest.mark.parametrize("garbage", [b"not json", b"[]", b'{"failures": 1}', b"null", b"\xff\xfe"])
async def test_unreadable_stored_state_is_ignored(clean_redis: str, garbage: bytes) -> None:
    async with worker(clean_redis) as here:
        await here.valkey.execute("HSET", KEY, here.upstream.key, garbage)
        await here.valkey.execute("HSET", KEY, b"\xff", garbage)
        await here.valkey.execute("PUBLISH", CHANNEL, garbage)
        await here.upstreams.breakers.poll()
        await here.fail(3)
        assert not here.upstream.breaker.closed


async def test_a_valkey_key_of_another_type_is_tolerated(clean_redis: str) -> None:
    async with worker(clean_redis) as here:
        await here.valkey.execute("SET", KEY, "taken")
        await here.fail(3)
        assert not here.upstream.breaker.closed
        await here.valkey.execute("DEL", KEY)


async def granted(worker_: Worker) -> str:
    """A probe, once it is time for one."""
    async with asyncio.timeout(30):
        while True:
            probe = await worker_.probe_where_open()
            if probe is not None:
                return probe
            await asyncio.sleep(0.01)


async def test_the_history_is_shared_by_all_workers(pair: tuple[Worker, Worker]) -> None:
    one, two = pair
    await one.fail(2)
    await two.fail(1)  # opens
    await one.call(well=False, probe=await granted(one))  # reopens
    await two.call(well=True, probe=await granted(two))  # closes
    for worker_ in pair:
        history = await worker_.upstreams.breaker_history(10)
        assert [change.event for change in history] == ["closed", "reopened", "opened"]
        assert {(change.upstream, change.model) for change in history} == {("one", "one")}
        assert history[0].at > history[-1].at
    assert len(await one.upstreams.breaker_history(1)) == 1
