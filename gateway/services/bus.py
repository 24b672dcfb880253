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

Word = Literal["cancel", "freed", "retried", "followed"]


class Bus:
    """`cancel` names an answer whose turn is to stop, `freed` a conversation whose turn has ended,
    `retried` a request that a client sends once more, `followed` an attempt whose stream is wanted elsewhere.
    """

    def __init__(self, valkey: ValkeyClient) -> None:
        self._valkey = valkey
        self._listeners: dict[str, Callable[[UUID], None]] = {}

    def on(self, word: Word, listener: Callable[[UUID], None]) -> None:
        """Have `listener` called for each such word of any worker."""
        self._listeners[word] = listener

    async def say(self, word: Word, about: UUID) -> int:
        """Tell this worker at once and the others through Valkey, if it is there; how many listen there."""
        self._listeners[word](about)
        try:
            return int(await self._valkey.execute("PUBLISH", CHANNEL, orjson.dumps([word, about.hex])))
        except ValkeyUnavailable:
            log.info("word_not_spread", word=word)
            return 0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
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
        async with aclosing(self._valkey.follow(CHANNEL)) as messages:
            async for message in messages:
                self._hear(message)

    def _hear(self, message: bytes) -> None:
        try:
            word, about = orjson.loads(message)
            self._listeners[word](UUID(about))
        except (ValueError, TypeError, AttributeError, LookupError):
            log.warning("word_not_understood")  # another version of the gateway said it
