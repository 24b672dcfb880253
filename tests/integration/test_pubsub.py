"""Pub/sub between workers: every subscriber of a topic gets every message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from gateway.cache.client import ValkeyClient, ValkeyUnavailable
from gateway.cache.pubsub import PubSub, Topic


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[tuple[PubSub, PubSub]]:
    clients = ValkeyClient(redis_url), ValkeyClient(redis_url)
    one, other = map(PubSub, clients)
    async with one.running(), other.running():
        async with asyncio.timeout(30):
            while await one.publish("turns", b"") < 2:  # noqa: ASYNC110 - Valkey has no event for it
                await asyncio.sleep(0.01)
        yield one, other
    for client in clients:
        await client.aclose()


async def test_messages_reach_the_subscribers_of_their_topic_on_all_workers(
    workers: tuple[PubSub, PubSub],
) -> None:
    one, other = workers
    received: asyncio.Queue[str] = asyncio.Queue()

    def subscribe(worker: PubSub, topic: Topic, name: str) -> None:
        # Other gateways may share the server and its channels.
        worker.subscribe(topic, lambda message: received.put_nowait(name) if message == b"hello" else None)

    subscribe(one, "turns", "one")
    subscribe(other, "turns", "other")
    subscribe(other, "breakers", "another topic")
    assert await one.publish("turns", b"hello") >= 2
    async with asyncio.timeout(30):
        assert {await received.get(), await received.get()} == {"one", "other"}
    assert received.empty()


async def test_a_handler_that_fails_does_not_stop_the_others(workers: tuple[PubSub, PubSub]) -> None:
    one, _ = workers
    received = asyncio.Event()

    def fail(message: bytes) -> None:
        if message == b"hello":
            raise RuntimeError

    one.subscribe("turns", fail)
    unsubscribe = one.subscribe("turns", lambda _: pytest.fail("unsubscribed"))
    unsubscribe()
    one.subscribe("turns", lambda message: received.set() if message == b"hello" else None)
    with capture_logs() as logs:
        await one.publish("turns", b"hello")
        await asyncio.wait_for(received.wait(), 30)
    assert [line["event"] for line in logs] == ["pubsub.handler_failed"]


async def test_without_valkey_publishing_fails_and_running_does_nothing() -> None:
    pubsub = PubSub(ValkeyClient(""))
    async with pubsub.running():
        with pytest.raises(ValkeyUnavailable):
            await pubsub.publish("turns", b"hello")
