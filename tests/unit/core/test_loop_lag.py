"""Lag of the process's own event loop is not mistaken for an outage of Valkey."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.core.loop_lag import LoopLagMeter

URL = "redis://127.0.0.1:1/0"  # nothing is sent to it: the work is the test's own


async def test_many_short_lags_add_up() -> None:
    clock = LoopLagMeter()
    before = clock.total_seconds()
    for _ in range(4):
        time.sleep(0.06)  # noqa: ASYNC251 - the stall
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    clock_says = clock.total_seconds() - before
    clock.stop()
    assert clock_says > 0.1


async def test_reply_that_arrived_during_a_lag_is_used() -> None:
    client = ValkeyClient(URL, deadline=2)

    async def slowly(redis: Redis) -> str:
        for _ in range(3):
            time.sleep(0.8)  # noqa: ASYNC251 - the stall
            await asyncio.sleep(0.002)
        return "a reply"

    assert await client.run(slowly) == "a reply"
    assert client.available
    await client.aclose()


async def test_unresponsive_server_times_out() -> None:
    client = ValkeyClient(URL, deadline=0.2)

    async def never(redis: Redis) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ValkeyUnavailable):
        await client.run(never)
    assert not client.available
    await client.aclose()
