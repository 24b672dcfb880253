"""Idempotent requests: the first with a key runs, the others get its response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.core.aio import BackgroundTasks, run_every
from gateway.core.exceptions import Conflict, IdempotencyMismatch, Unavailable
from gateway.core.ids import new_id
from gateway.core.security.cipher import ResponseCipher
from gateway.domain.idempotency import IdempotentRequest
from gateway.domain.usage.budgets import LEASE_SECONDS
from gateway.repositories.idempotency import IdempotencyRepository, KeyState
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.idempotency.cross_worker_stream import CrossWorkerStream
from gateway.services.idempotency.response_buffer import ResponseBuffer

log = structlog.get_logger(__name__)

# Pauses between two polls of another worker's claim, and between attempts to store a response, in seconds.
_FIRST_PAUSE, _MAX_PAUSE = 0.02, 0.25
_RETRY_PAUSES = (0.05, 0.25, 1.0, 3.0)
_OWNER_LOST = "The worker that produced this response is gone. Send the request again."
_UNREADABLE = "The response stored for this key can no longer be read. Use a new key."


@dataclass(frozen=True, slots=True)
class WorkResult:
    """Whether to store the response with the key, or to release the key.

    `account_id` is the account that the request created.
    """

    store: bool
    account_id: UUID | None = None


# Runs the request and writes its whole response to the recording; raises if there is none.
Work = Callable[[ResponseBuffer], Awaitable[WorkResult]]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A request with a key, with its identity in the database."""

    request: IdempotentRequest
    id: bytes
    fingerprint: bytes
    holder: UUID

    @property
    def secret(self) -> tuple[bytes, bytes]:
        """The secret that decrypts the response; neither part is in the database."""
        return self.request.scope, self.request.key.encode()


class IdempotencyService:
    """Runs each keyed request once, across workers and restarts.

    The database records which worker holds a key; inside a worker all requests share one recording. The work
    runs in a separate task. Client disconnects do not cancel it, because a client that sends a key is
    expected to retry. The holder of a key renews its lease; if its process dies, a waiting request or the
    next one takes the key over.
    """

    def __init__(
        self,
        keys: IdempotencyRepository,
        cipher: ResponseCipher,
        tasks: TurnTaskRegistry,
        cross_worker_stream: CrossWorkerStream,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._keys = keys
        self._cipher = cipher
        self._turn_tasks = tasks
        self._cross_worker_stream = cross_worker_stream
        self._lease_seconds = lease_seconds
        self._recordings: dict[tuple[bytes, bytes], ResponseBuffer] = {}
        self._held: dict[tuple[bytes, UUID], float] = {}
        self._background = BackgroundTasks()
        self._renewal: asyncio.Task[None] | None = None

    async def run(self, request: IdempotentRequest, work: Work) -> tuple[ResponseBuffer, bool]:
        """Return the response, and whether another request produced it.

        Raises (here or from the recording):
            IdempotencyMismatch: the key belongs to another request. Conflict: its response is unreadable.
            NotFound: the account was deleted. Unavailable: the database is unreachable; nothing was done.
            whatever `work` raised.
        """
        fingerprint = self._cipher.fingerprint(b"request", request.content)
        claim = _Claim(request, self._key_id(request), fingerprint, new_id())
        place = (claim.id, claim.fingerprint)
        if (recording := self._recordings.get(place)) is not None:
            await recording.head()
            return recording, True
        recording = self._recordings[place] = ResponseBuffer()
        owned: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._background.spawn(self._execute(claim, recording, work, owned))
        await recording.head()
        return recording, not (owned.done() and owned.result())

    async def exists(self, request: IdempotentRequest) -> bool:
        """Return whether the request is running on any worker, or has a response."""
        return await self._keys.get(self._key_id(request)) is not None

    async def delete_expired(self) -> None:
        """Delete responses past their retention."""
        await self._keys.delete_expired()

    async def aclose(self) -> None:
        """Wait until running requests have ended and their responses are stored."""
        await self._background.drain()
        if self._renewal is not None:
            self._renewal.cancel()

    def _key_id(self, request: IdempotentRequest) -> bytes:
        return self._cipher.fingerprint(b"key", request.scope, request.key.encode())

    async def _execute(
        self, claim: _Claim, recording: ResponseBuffer, work: Work, owned: asyncio.Future[bool]
    ) -> None:
        """Run the work unless it is done or running; the recording ends in any case."""
        try:
            stored = await self._claim_or_wait(claim, recording)
            owned.set_result(stored is None)
            if stored is not None:
                recording.complete_from(stored)
                return
            await self._run_work(claim, recording, work)
        except BaseException as error:
            if not recording.ended:
                recording.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._recordings.pop((claim.id, claim.fingerprint), None)

    async def _claim_or_wait(self, claim: _Claim, recording: ResponseBuffer) -> bytes | None:
        """Return the stored response, or None once this worker holds the key.

        While another worker produces a stream, it is copied to `recording`.
        """
        pause = _FIRST_PAUSE
        position = b"0-0"
        requested: UUID | None = None
        while True:
            state = await self._try_claim(claim)
            while state is not None and not state.claimed:
                if state.fingerprint != claim.fingerprint:
                    raise IdempotencyMismatch
                if state.answer is not None:
                    return self._decrypt(claim, state.answer)
                if state.abandoned:
                    break
                self._turn_tasks.ensure_accepting()
                if pause < _MAX_PAUSE:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _MAX_PAUSE)
                elif requested != state.holder:
                    if recording.started:
                        raise Unavailable(_OWNER_LOST, retry_after=1)
                    position, requested = b"0-0", state.holder
                    await self._cross_worker_stream.request(state.holder)
                else:
                    position = await self._cross_worker_stream.read(state.holder, position, recording)
                state = await self._keys.get(claim.id)
            if recording.started:
                raise Unavailable(_OWNER_LOST, retry_after=1)
            if state is not None and state.claimed:
                return None

    async def _try_claim(self, claim: _Claim) -> KeyState | None:
        request = claim.request
        state = await self._keys.claim(
            claim.id,
            claim.fingerprint,
            claim.holder,
            user_id=request.user_id,
            request_id=request.request_id,
            retention_seconds=request.retention_seconds,
            lease_seconds=self._lease_seconds,
        )
        if state is not None and state.claimed:
            self._held[claim.id, claim.holder] = asyncio.get_running_loop().time()
            if self._renewal is None:
                self._renewal = asyncio.create_task(self._renew_leases())
        return state

    async def _run_work(self, claim: _Claim, recording: ResponseBuffer, work: Work) -> None:
        result = WorkResult(store=False)
        try:
            self._cross_worker_stream.register(claim.holder, recording)
            result = await work(recording)
        finally:
            if not result.store:  # later requests do not share this recording; they wait for the key
                self._recordings.pop((claim.id, claim.fingerprint), None)
            await self._store_with_retry(claim, recording, result)
            self._held.pop((claim.id, claim.holder), None)
            self._cross_worker_stream.unregister(claim.holder)

    async def _store_with_retry(self, claim: _Claim, recording: ResponseBuffer, result: WorkResult) -> None:
        """Store the response or release the key; until then the key stays claimed."""
        answer = self._cipher.encrypt(recording.to_bytes(), *claim.secret) if result.store else None
        for pause in (*_RETRY_PAUSES, None):
            try:
                if answer is None:
                    await self._keys.release(claim.id, claim.holder)
                else:
                    await self._keys.store(claim.id, claim.holder, answer, result.account_id)
                return
            except Unavailable:
                if pause is None:
                    log.error("idempotency.store_failed", request_id=claim.request.request_id)
                    return
                await asyncio.sleep(pause)

    def _decrypt(self, claim: _Claim, answer: bytes) -> bytes:
        stored = self._cipher.decrypt(answer, *claim.secret)
        if stored is None:
            raise Conflict(_UNREADABLE, param="Idempotency-Key")
        return stored

    async def _renew_leases(self) -> None:
        async def renew() -> None:
            if self._held:
                await self._keys.renew_leases(list(self._held), self._lease_seconds)

        await run_every(self._lease_seconds / 4, renew, on_failure="idempotency.renewal_failed")
