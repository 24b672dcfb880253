"""Pub/sub between workers for turn events.

Delivery is best effort: subscribers also poll.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from uuid import UUID

import orjson
import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.pubsub import PubSub

log = structlog.get_logger(__name__)

TurnTopic = Literal["cancel", "conversation_released", "retry_received", "stream_requested"]


class WorkerBus:
    """Messages about turns. Each topic's messages contain an id:

    - `cancel`: the answer whose turn is to be cancelled;
    - `conversation_released`: the conversation whose turn has ended;
    - `retry_received`: the request that a client has retried;
    - `stream_requested`: the request whose stream another worker needs.
    """

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._listeners: dict[str, Callable[[UUID], None]] = {}
        pubsub.subscribe("turns", self._on_message)

    def subscribe(self, topic: TurnTopic, listener: Callable[[UUID], None]) -> None:
        """Call `listener` for each message of `topic`, from any worker.

        A topic has one listener per worker.
        """
        self._listeners[topic] = listener

    async def publish(self, topic: TurnTopic, subject_id: UUID) -> int:
        """Call this worker's listener now, and those of other workers through Valkey.

        Returns:
            the number of subscribed workers; 0 if Valkey is unavailable.
        """
        self._listeners[topic](subject_id)
        try:
            return await self._pubsub.publish("turns", orjson.dumps([topic, subject_id.hex]))
        except ValkeyUnavailable:
            log.info("bus.publish_failed", topic=topic)
            return 0

    def _on_message(self, message: bytes) -> None:
        topic, subject_id = orjson.loads(message)
        self._listeners[topic](UUID(subject_id))
