"""Clients that retry by themselves: a retry is told what its first attempt is still making.

OpenAI's clients number their attempts (`x-stainless-retry-count`). One that gave up waiting sends the same
again a moment later; the first attempt is kept for that moment, and the second one does not pay.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from gateway.core.exceptions import GatewayError
from gateway.domain.accounts.principal import Principal
from gateway.domain.idempotency import IdempotentRequest
from gateway.services.execution.worker_bus import WorkerBus
from gateway.services.idempotency.recorded_response import RecordedResponse
from gateway.services.idempotency.service import IdempotencyService, WorkResult

# How long what nobody waits for any more is kept for a retry: the clients' first pause is half of it.
GRACE_SECONDS = 1.0
# How long a retry waits for another worker to say that it has the attempt, looking at these times.
_POLL_PAUSES = (0.03, 0.05, 0.1, 0.15)
_RETENTION_SECONDS = 10.0
_MAX_REJECTIONS, _REJECTION_SECONDS = 10_000, 30.0


@dataclass(slots=True, eq=False)
class InFlightRequest:
    """A request that may be sent again while it is under way.

    `gone`: its client has left. `tape` is there once somebody else wants the answer.
    """

    id: bytes
    user_id: UUID
    request_id: str
    client_gone: bool = False
    recording: RecordedResponse | None = None
    _retried: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def share(self) -> RecordedResponse:
        """The answer for somebody else."""
        if self.recording is None:
            self.recording = RecordedResponse()
        self._retried.set()
        return self.recording

    async def on_disconnect(self) -> None:
        """Its client has gone: returns once nobody has come for the answer for a while, else never."""
        self.client_gone = True
        if await self.wait_for_retry():
            await asyncio.Future()

    async def wait_for_retry(self) -> bool:
        """Whether somebody comes for the answer within the grace."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._retried.wait()
        except TimeoutError:
            return self._retried.is_set()
        return True

    def hold_task(self, task: asyncio.Task[None]) -> None:
        """Hold on to what tells the tape."""
        self._task = task

    @property
    def as_idempotent(self) -> IdempotentRequest:
        """The attempt as workers tell each other of it."""
        scope = b"retry:" + self.user_id.bytes
        return IdempotentRequest(
            scope, self.id.hex(), self.id, self.request_id, self.user_id, _RETENTION_SECONDS
        )


class ClientRetryJoiner:
    """The attempts of this worker; those of others are asked for by a word, once a retry has come."""

    def __init__(self, idempotency: IdempotencyService, bus: WorkerBus) -> None:
        self._idempotency = idempotency
        self._bus = bus
        self._in_flight: dict[bytes, list[InFlightRequest]] = {}
        self._rejections: OrderedDict[bytes, list[float]] = OrderedDict()
        self._requesting: set[UUID] = set()
        self._sharing: set[asyncio.Task[None]] = set()
        bus.subscribe("retry_received", self._on_retry)

    def register(self, principal: Principal, content: bytes, request_id: str) -> InFlightRequest:
        """An attempt at the request whose `content` no other one has; to be ended by `end`."""
        original = InFlightRequest(_request_hash(principal, content), principal.user_id, request_id)
        self._in_flight.setdefault(original.id, []).append(original)
        return original

    def unregister(self, original: InFlightRequest) -> None:
        """Nobody can join it any more."""
        remaining = self._in_flight.get(original.id, [])
        if original in remaining:
            remaining.remove(original)
        if not remaining:
            self._in_flight.pop(original.id, None)

    def unregister_later(self, original: InFlightRequest) -> None:
        """It has its answer, and nobody to tell it to."""
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self.unregister, original)

    def record_rejection(self, original: InFlightRequest) -> None:
        """Its client was told to come again: the retry that follows is not one of another's attempt."""
        self._rejections.setdefault(original.id, []).append(_monotonic())
        self._rejections.move_to_end(original.id)
        if len(self._rejections) > _MAX_REJECTIONS:
            self._rejections.popitem(last=False)

    async def join(self, principal: Principal, content: bytes, request_id: str) -> RecordedResponse | None:
        """What the retry's first attempt answers, here or on another worker; None where there is none."""
        id_ = _request_hash(principal, content)
        if (original := self._find(id_)) is not None:
            return original.share()
        topic_id = UUID(bytes=id_[:16])
        self._requesting.add(topic_id)
        try:
            if await self._bus.publish("retry_received", topic_id) < 2:
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
        """Let what is lent be written down."""
        while self._sharing:
            await asyncio.wait(set(self._sharing))

    def _find(self, id_: bytes) -> InFlightRequest | None:
        """An attempt whose client has left; else the only one that there is, if it cannot be another's."""
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
        """Another worker has a retry: an attempt that is here is lent to it through the table."""
        if topic_id in self._requesting:
            return
        for id_ in list(self._in_flight):
            if id_[:16] == topic_id.bytes and (original := self._find(id_)) is not None:
                task = asyncio.create_task(self._share_remotely(original))
                self._sharing.add(task)
                task.add_done_callback(self._sharing.discard)

    async def _share_remotely(self, original: InFlightRequest) -> None:
        source = original.share()

        async def work(tape: RecordedResponse) -> WorkResult:
            recording.start(head := await source.head())
            async for chunk in source.chunks():
                recording.append(chunk)
            recording.end()
            return WorkResult(store=head.status < 400)

        try:
            recording, _ = await self._idempotency.run(original.as_idempotent, work)
            await recording.read_body()
        except GatewayError:
            return  # whoever asked finds nothing, and makes an attempt of its own


async def _original_gone(recording: RecordedResponse) -> WorkResult:
    """Whoever had the attempt has died with it."""
    raise OriginalGone


class OriginalGone(GatewayError):
    """The attempt that was to be joined is no more; one of one's own has to be made."""


def _request_hash(principal: Principal, content: bytes) -> bytes:
    caller = (principal.user_id.bytes, principal.api_key_id.bytes if principal.api_key_id else b"")
    return hashlib.sha256(b"".join((*caller, content))).digest()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
