"""Valkey may hang or disappear: no caller waits long or gets another's reply."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from gateway.cache.client import DEADLINE_SECONDS, ValkeyClient, ValkeyUnavailable
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(redis_url) as running:
        yield running


@pytest.fixture
async def valkey(proxy: TcpProxy) -> AsyncIterator[ValkeyClient]:
    client = ValkeyClient(proxy.url)
    yield client
    await client.aclose()


async def until_available(client: ValkeyClient) -> None:
    async with asyncio.timeout(30):
        while not client.available:  # noqa: ASYNC110 - the breaker has no event, callers just ask
            await asyncio.sleep(0.01)


def name() -> str:
    return f"test:{secrets.token_hex(8)}"


async def test_commands_and_pipelines_reach_valkey(valkey: ValkeyClient) -> None:
    key = name()
    await valkey.execute("SET", key, b"value", "EX", 60)
    assert await valkey.execute("GET", key) == b"value"
    assert await valkey.run(lambda redis: redis.pipeline().incr(f"{key}:n").get(key).execute()) == [
        1,
        b"value",
    ]
    assert await valkey.ping()


async def test_unix_socket_and_url_forms_work(redis_url: str) -> None:
    client = ValkeyClient(redis_url)
    assert await client.ping()
    await client.aclose()


async def test_without_an_address_every_command_fails_at_once() -> None:
    client = ValkeyClient("")
    assert (client.configured, client.available, await client.ping()) == (False, False, False)
    with pytest.raises(ValkeyUnavailable):
        await client.execute("GET", "x")
    await client.aclose()


async def test_refused_command_does_not_open_the_breaker(
    valkey: ValkeyClient,
) -> None:
    key = name()
    await valkey.execute("SET", key, b"value", "EX", 60)
    for command in (("NOSUCHCOMMAND",), ("HGET", key, "field"), ("EVAL", "return redis.call('X')", 0)):
        with pytest.raises(ValkeyUnavailable):
            await valkey.execute(*command)
    assert valkey.available
    assert await valkey.check_state() == "up"


async def test_hanging_valkey_costs_one_deadline_and_recovers(proxy: TcpProxy, valkey: ValkeyClient) -> None:
    await valkey.execute("SET", name(), b"1", "EX", 60)
    proxy.hold_responses()
    began = time.monotonic()
    with pytest.raises(ValkeyUnavailable):
        await valkey.execute("GET", name())
    assert time.monotonic() - began >= DEADLINE_SECONDS
    assert not valkey.available
    held = proxy.connections
    for _ in range(1000):
        with pytest.raises(ValkeyUnavailable):
            await valkey.execute("GET", name())
    assert proxy.connections - held <= 1  # a probe at most: no command was tried
    proxy.flow()
    await until_available(valkey)
    assert await valkey.execute("ECHO", "back") == b"back"


async def test_lag_of_this_process_is_not_an_outage_of_valkey(redis_url: str) -> None:
    client = ValkeyClient(redis_url)
    key = name()
    await client.execute("SET", key, b"value", "EX", 60)
    reading = asyncio.create_task(client.execute("GET", key))
    await asyncio.sleep(0)
    time.sleep(2 * DEADLINE_SECONDS)  # noqa: ASYNC251 - the reply is there before anybody looks
    assert await reading == b"value"
    assert client.available
    await client.aclose()


async def test_connecting_to_a_hanging_valkey_obeys_the_deadline(
    proxy: TcpProxy, valkey: ValkeyClient
) -> None:
    proxy.hold_responses()
    async with asyncio.timeout(30):
        with pytest.raises(ValkeyUnavailable):
            await valkey.execute("GET", name())


async def test_open_breaker_sends_no_commands_until_valkey_is_back(
    proxy: TcpProxy, valkey: ValkeyClient
) -> None:
    await valkey.execute("PING")
    await proxy.stop()
    with pytest.raises(ValkeyUnavailable):
        await valkey.execute("PING")
    assert not valkey.available
    await proxy.start()
    await until_available(valkey)
    assert await valkey.execute("ECHO", "back") == b"back"


@pytest.mark.parametrize("pipelined", [False, True])
async def test_cancelled_command_leaves_no_reply_for_the_next_caller(
    proxy: TcpProxy, redis_url: str, pipelined: bool
) -> None:
    client = ValkeyClient(proxy.url, deadline=30)
    keys = [name() for _ in range(8)]
    for key in keys:
        await client.execute("SET", key, key, "EX", 60)

    def read(key: str) -> asyncio.Task:
        if pipelined:
            return asyncio.create_task(client.run(lambda redis: redis.pipeline().get(key).get(key).execute()))
        return asyncio.create_task(client.execute("GET", key))

    for _ in range(5):
        proxy.hold_responses()
        proxy.held.clear()
        tasks = [read(key) for key in keys[:4]]
        await proxy.held.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        proxy.flow()
        values = await asyncio.gather(*(read(key) for key in keys[4:]))
        expected = [key.encode() for key in keys[4:]]
        assert values == ([[value, value] for value in expected] if pipelined else expected)
    assert client.available
    await client.aclose()


async def test_late_reply_is_not_used_for_the_next_command(proxy: TcpProxy, valkey: ValkeyClient) -> None:
    first, second = name(), name()
    await valkey.execute("MSET", first, b"first", second, b"second")
    proxy.hold_responses()
    with pytest.raises(ValkeyUnavailable):
        await valkey.execute("GET", first)
    proxy.flow()
    await until_available(valkey)
    assert await valkey.execute("GET", second) == b"second"


async def test_subscriber_notices_a_silently_lost_connection(
    proxy: TcpProxy, valkey: ValkeyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cache.client._PING_AFTER_SECONDS", 0.05)
    monkeypatch.setattr("gateway.cache.client._PONG_TIMEOUT_SECONDS", 0.2)
    channel = name()
    received: list[bytes] = []

    async def listen() -> None:
        async for _, message in valkey.subscribe_once(channel):
            received.append(message)

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(30):
        while not received:  # a subscriber that is not connected yet receives nothing
            await valkey.execute("PUBLISH", channel, b"one")
            await asyncio.sleep(0.3)  # longer than it is quiet: it asks, and is answered
    assert not listening.done()
    proxy.black_hole()
    with pytest.raises(ValkeyUnavailable):
        await asyncio.wait_for(listening, 30)
