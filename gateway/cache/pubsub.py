"""Broadcast between workers: one Valkey subscription per process for all topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Literal

import structlog

from gateway.cache.client import ValkeyClient
from gateway.core.aio import cancel_and_wait

log = structlog.get_logger(__name__)

Topic = Literal["turns", "revocation", "reload", "breakers"]
Handler = Callable[[bytes], None]

# Workers of another version listen to the same channels during a rolling update: do not rename them.
CHANNELS: dict[Topic, str] = {
    "turns": "gateway:turns",
    "revocation": "gateway:ended",
    "reload": "gateway:reload",
    "breakers": "gateway:breakers",
}
_TOPICS = {channel.encode(): topic for topic, channel in CHANNELS.items()}


class PubSub:
    """Publishes and subscribes to topics; delivery is best effort.

    Messages published while Valkey is down are lost, so subscribers also poll.
    """

    def __init__(self, valkey: ValkeyClient) -> None:
        self._valkey = valkey
        self._handlers: dict[Topic, list[Handler]] = {topic: [] for topic in CHANNELS}

    @property
    def configured(self) -> bool:
        """Whether there is a Valkey at all."""
        return self._valkey.configured

    def subscribe(self, topic: Topic, handler: Handler) -> Callable[[], None]:
        """Call `handler` with each message of `topic`, this worker's own included.

        Handlers must return at once. One that raises is logged; the others are still called.

        Returns:
            a function that unsubscribes.
        """
        handlers = self._handlers[topic]
        handlers.append(handler)
        return lambda: handlers.remove(handler)

    async def publish(self, topic: Topic, message: bytes) -> int:
        """Send `message` to all workers.

        Returns:
            how many workers are subscribed.

        Raises:
            ValkeyUnavailable: nothing was sent.
        """
        return int(await self._valkey.execute("PUBLISH", CHANNELS[topic], message))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Receive messages while the context is open."""
        if not self._valkey.configured:
            yield
            return
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            await cancel_and_wait(task)

    async def _listen(self) -> None:
        async with aclosing(self._valkey.subscribe(*CHANNELS.values())) as messages:
            async for channel, message in messages:
                self._dispatch(_TOPICS[channel], message)

    def _dispatch(self, topic: Topic, message: bytes) -> None:
        for handler in tuple(self._handlers[topic]):
            try:
                handler(message)
            except (ValueError, TypeError, AttributeError, LookupError):
                log.warning(
                    "pubsub.message_unreadable", topic=topic
                )  # another version of the gateway sent it
            except Exception:
                log.exception("pubsub.handler_failed", topic=topic)
