"""Joins a client's automatic retry to the request that it repeats.

OpenAI's clients send the number of retries in the header `x-stainless-retry-count`. A client that timed out
retries within a few seconds, so the original request keeps running for a grace period.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from gateway.core.aio import BackgroundTasks
from gateway.core.exceptions import GatewayError
from gateway.domain.accounts.principal import Principal
from gateway.domain.idempotency import IdempotentRequest
from gateway.services.execution.worker_bus import WorkerBus
from gateway.services.idempotency.response_buffer import ResponseBuffer
from gateway.services.idempotency.service import IdempotencyService, WorkResult

# How long an abandoned request waits for a retry: twice the clients' first pause.
GRACE_SECONDS = 1.0
# Pauses between polls while a retry waits for another worker to share the original.
_POLL_PAUSES = (0.03, 0.05, 0.1, 0.15)
_RETENTION_SECONDS = 10.0
_MAX_REJECTIONS, _REJECTION_SECONDS = 10_000, 30.0


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """A running request that its client may retry.

    `client_gone`: its client has disconnected. `recording` exists once a retry needs the response.
    """

    id: bytes
    user_id: UUID
    request_id: str
    client_gone: bool = False
    recording: ResponseBuffer | None = None
    _retried: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def share(self) -> ResponseBuffer:
        """Return the recording for a retry."""
        if self.recording is None:
            self.recording = ResponseBuffer()
        self._retried.set()
        return self.recording

    async def on_disconnect(self) -> None:
        """Handle a disconnect: return if no retry arrives in the grace period.

        If a retry arrives, it never returns.
        """
        self.client_gone = True
        if await self.wait_for_retry():
            await asyncio.Future()

    async def wait_for_retry(self) -> bool:
        """Return whether a retry arrives within the grace period."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._retried.wait()
        except TimeoutError:
            return self._retried.is_set()
        return True

    def hold_task(self, task: asyncio.Task[None]) -> None:
        """Hold a reference to the task that writes the recording."""
        self._task = task

    @property
    def as_idempotent(self) -> IdempotentRequest:
        """The request as stored in the database, for other workers."""
        scope = b"retry:" + self.user_id.bytes
        return IdempotentRequest(
            scope, self.id.hex(), self.id, self.request_id, self.user_id, _RETENTION_SECONDS
        )


class ClientRetryJoiner:
    """Joins retries to the running requests of this worker and of others.

    Other workers are asked when a retry arrives.
    """

    def __init__(self, idempotency: IdempotencyService, bus: WorkerBus) -> None:
        self._idempotency = idempotency
        self._bus = bus
        self._in_flight: dict[bytes, list[InFlightRequest]] = {}
        self._rejections: OrderedDict[bytes, list[float]] = OrderedDict()
        self._requesting: set[UUID] = set()
        self._sharing = BackgroundTasks()
        bus.subscribe("retry_received", self._on_retry)

    def __len__(self) -> int:
        """Return the number of registered requests."""
        return sum(map(len, self._in_flight.values()))

    def register(self, principal: Principal, content: bytes, request_id: str) -> InFlightRequest:
        """Register a request, identified by `content`, until `unregister`."""
        original = InFlightRequest(_request_hash(principal, content), principal.user_id, request_id)
        self._in_flight.setdefault(original.id, []).append(original)
        return original

    def unregister(self, original: InFlightRequest) -> None:
        """Remove a request, so that no retry can join it."""
        remaining = self._in_flight.get(original.id, [])
        if original in remaining:
            remaining.remove(original)
        if not remaining:
            self._in_flight.pop(original.id, None)

    def unregister_later(self, original: InFlightRequest) -> None:
        """Unregister a completed request of a disconnected client after the grace period."""
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self.unregister, original)

    def record_rejection(self, original: InFlightRequest) -> None:
        """Record that the client was asked to retry; its retry joins no other request."""
        self._rejections.setdefault(original.id, []).append(_monotonic())
        self._rejections.move_to_end(original.id)
        if len(self._rejections) > _MAX_REJECTIONS:
            self._rejections.popitem(last=False)

    async def join(self, principal: Principal, content: bytes, request_id: str) -> ResponseBuffer | None:
        """Return the response of the request that this one retries, from any worker.

        Return None if this request is not a retry.
        """
        id_ = _request_hash(principal, content)
        if (original := self._find(id_)) is not None:
            return original.share()
        topic_id = UUID(bytes=id_[:16])
        self._requesting.add(topic_id)
        try:
            if await self._bus.publish("retry_received", topic_id) < 2:  # no other worker is subscribed
                return None
            request = InFlightRequest(id_, principal.user_id, request_id).as_idempotent
            for pause in _POLL_PAUSES:
                await asyncio.sleep(pause)
                if await self._idempotency.exists(request):
                    recording, _ = await self._idempotency.run(request, _original_gone)
                    return recording
        except OriginalGone:
            return None
        finally:
            self._requesting.discard(topic_id)
        return None

    async def aclose(self) -> None:
        """Wait until shared responses are stored."""
        await self._sharing.drain()

    def _find(self, id_: bytes) -> InFlightRequest | None:
        """Return the request that a retry repeats.

        That is one whose client has disconnected, else the only one, unless the retry follows a recorded
        rejection.
        """
        originals = self._in_flight.get(id_, [])
        for original in originals:
            if original.client_gone:
                return original
        times = [time for time in self._rejections.pop(id_, []) if time > _monotonic() - _REJECTION_SECONDS]
        if times:
            if times[1:]:
                self._rejections[id_] = times[1:]
            return None
        return originals[0] if len(originals) == 1 else None

    def _on_retry(self, topic_id: UUID) -> None:
        """Share the original of a retry at another worker through the database."""
        if topic_id in self._requesting:
            return
        for id_ in list(self._in_flight):
            if id_[:16] == topic_id.bytes and (original := self._find(id_)) is not None:
                self._sharing.spawn(self._share_remotely(original))

    async def _share_remotely(self, original: InFlightRequest) -> None:
        source = original.share()

        async def work(recording: ResponseBuffer) -> WorkResult:
            recording.start(head := await source.head())
            async for chunk in source.chunks():
                recording.append(chunk)
            recording.end()
            return WorkResult(store=head.status < 400)

        try:
            recording, _ = await self._idempotency.run(original.as_idempotent, work)
            await recording.read_body()
        except GatewayError:
            return  # the retry finds no response and runs the request


async def _original_gone(recording: ResponseBuffer) -> WorkResult:
    """Raise OriginalGone: the original ended when its worker died."""
    raise OriginalGone


class OriginalGone(GatewayError):
    """The original request no longer exists, so the retry has to run itself."""


def _request_hash(principal: Principal, content: bytes) -> bytes:
    caller = (principal.user_id.bytes, principal.api_key_id.bytes if principal.api_key_id else b"")
    return hashlib.sha256(b"".join((*caller, content))).digest()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
