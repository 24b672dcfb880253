"""What workers tell each other of turns; a word may be lost, so who needs it also looks for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Literal
from uuid import UUID

import orjson
import structlog

from gateway.cache.client import ValkeyClient, ValkeyUnavailable

log = structlog.get_logger(__name__)

CHANNEL = "gateway:turns"

Topic = Literal["cancel", "freed", "retried", "followed"]


class WorkerBus:
    """`cancel` names an answer whose turn is to stop, `freed` a conversation whose turn has ended,
    `retried` a request that a client sends once more, `followed` an attempt whose stream is wanted elsewhere.
    """

    def __init__(self, valkey: ValkeyClient) -> None:
        self._valkey = valkey
        self._listeners: dict[str, Callable[[UUID], None]] = {}

    def subscribe(self, topic: Topic, listener: Callable[[UUID], None]) -> None:
        """Have `listener` called for each such word of any worker."""
        self._listeners[topic] = listener

    async def publish(self, topic: Topic, subject_id: UUID) -> int:
        """Tell this worker at once and the others through Valkey, if it is there; how many listen there."""
        self._listeners[topic](subject_id)
        try:
            return int(await self._valkey.execute("PUBLISH", CHANNEL, orjson.dumps([topic, subject_id.hex])))
        except ValkeyUnavailable:
            log.info("word_not_spread", word=topic)
            return 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is open, the others are listened to."""
        if not self._valkey.configured:
            yield
            return
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _listen(self) -> None:
        async with aclosing(self._valkey.subscribe(CHANNEL)) as messages:
            async for message in messages:
                self._on_message(message)

    def _on_message(self, message: bytes) -> None:
        try:
            topic, subject_id = orjson.loads(message)
            self._listeners[topic](UUID(subject_id))
        except (ValueError, TypeError, AttributeError, LookupError):
            log.warning("word_not_understood")  # another version of the gateway said it
