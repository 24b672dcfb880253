"""Requests with a key: one is done, all others with the same key are told what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.core.exceptions import Conflict, GatewayError, IdempotencyMismatch, Unavailable
from gateway.core.ids import new_id
from gateway.core.security.cipher import ResponseCipher
from gateway.domain.idempotency import IdempotentRequest
from gateway.domain.usage.budgets import LEASE_SECONDS
from gateway.repositories.idempotency import IdempotencyRepository, KeyState
from gateway.services.execution.turn_tasks import TurnTaskRegistry
from gateway.services.idempotency.recorded_response import RecordedResponse
from gateway.services.idempotency.remote_stream import CrossWorkerStream

log = structlog.get_logger(__name__)

# Pauses between two looks at what another worker does, and between tries to write down an answer, in seconds.
_FIRST_PAUSE, _MAX_PAUSE = 0.02, 0.25
_RETRY_PAUSES = (0.05, 0.25, 1.0, 3.0)
_OWNER_LOST = "The worker that made this answer has gone; ask again."
_UNREADABLE = "What this key was answered cannot be read any more; take a new one."


@dataclass(frozen=True, slots=True)
class WorkResult:
    """What becomes of a key whose request was done: its answer is kept, or the key is free again.

    `owner` is the account that the request made.
    """

    store: bool
    account_id: UUID | None = None


# Does the request and tells the tape all of its answer; raises where there is none.
Work = Callable[[RecordedResponse], Awaitable[WorkResult]]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A keyed request in the words of the table."""

    request: IdempotentRequest
    id: bytes
    fingerprint: bytes
    holder: UUID

    @property
    def secret(self) -> tuple[bytes, bytes]:
        """What opens the answer; the table has neither."""
        return self.request.scope, self.request.key.encode()


class IdempotencyService:
    """Across workers and restarts the table says who is at a request; in a worker all share one tape.

    The work runs in a task of its own: nobody's leaving ends it, for a key says that its sender comes back.
    Whoever holds a key renews it; where its process dies, one of those who wait does the work, or the next
    one who asks.
    """

    def __init__(
        self,
        keys: IdempotencyRepository,
        cipher: ResponseCipher,
        tasks: TurnTaskRegistry,
        remote_stream: CrossWorkerStream,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._keys = keys
        self._cipher = cipher
        self._turn_tasks = tasks
        self._remote_stream = remote_stream
        self._lease_seconds = lease_seconds
        self._recordings: dict[tuple[bytes, bytes], RecordedResponse] = {}
        self._held: dict[tuple[bytes, UUID], float] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.Task[None] | None = None

    async def run(self, request: IdempotentRequest, work: Work) -> tuple[RecordedResponse, bool]:
        """The tape of the request, and whether it is somebody else's doing.

        Raises (here or from the tape):
            IdempotencyMismatch: the key is another request's. Conflict: its answer cannot be read any more.
            NotFound: the account has gone. Unavailable: the database cannot be reached; nothing was done.
            whatever `work` raised.
        """
        claim = _Claim(
            request, self._key_id(request), self._cipher.fingerprint(b"request", request.content), new_id()
        )
        place = (claim.id, claim.fingerprint)
        if (recording := self._recordings.get(place)) is not None:
            await recording.head()
            return recording, True
        recording = self._recordings[place] = RecordedResponse()
        owned: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._start(self._execute(claim, recording, work, owned))
        await recording.head()
        return recording, not (owned.done() and owned.result())

    async def exists(self, request: IdempotentRequest) -> bool:
        """Whether somebody is at the request, or it has an answer."""
        return await self._keys.get(self._key_id(request)) is not None

    async def delete_expired(self) -> None:
        """Forget what was kept for its time."""
        await self._keys.delete_expired()

    async def aclose(self) -> None:
        """Let what is under way end, its answers written down."""
        while self._background:
            await asyncio.wait(set(self._background))
        if self._renewal is not None:
            self._renewal.cancel()

    def _key_id(self, request: IdempotentRequest) -> bytes:
        return self._cipher.fingerprint(b"key", request.scope, request.key.encode())

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _execute(
        self, claim: _Claim, recording: RecordedResponse, work: Work, owned: asyncio.Future[bool]
    ) -> None:
        """Do the work, unless it is done or being done; whatever happens, the tape ends."""
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

    async def _claim_or_wait(self, claim: _Claim, recording: RecordedResponse) -> bytes | None:
        """None once the key is ours, or the answer that it has.

        A stream that another worker makes is told on the tape meanwhile.
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
                    await self._remote_stream.request(state.holder)
                else:
                    position = await self._remote_stream.read(state.holder, position, recording)
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

    async def _run_work(self, claim: _Claim, recording: RecordedResponse, work: Work) -> None:
        result = WorkResult(store=False)
        try:
            self._remote_stream.register(claim.holder, recording)
            result = await work(recording)
        finally:
            if not result.store:  # who comes now does not hear of it, but waits until the key is free
                self._recordings.pop((claim.id, claim.fingerprint), None)
            await self._store_with_retry(claim, recording, result)
            self._held.pop((claim.id, claim.holder), None)
            self._remote_stream.unregister(claim.holder)

    async def _store_with_retry(self, claim: _Claim, recording: RecordedResponse, result: WorkResult) -> None:
        """Write down what became of the key; until then nobody else may have it."""
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
                    log.error("idempotent_answer_not_kept", request_id=claim.request.request_id)
                    return
                await asyncio.sleep(pause)

    def _decrypt(self, claim: _Claim, answer: bytes) -> bytes:
        stored = self._cipher.decrypt(answer, *claim.secret)
        if stored is None:
            raise Conflict(_UNREADABLE, param="Idempotency-Key")
        return stored

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 4)
            if not self._held:
                continue
            try:
                await self._keys.renew_leases(list(self._held), self._lease_seconds)
            except GatewayError as error:
                log.warning("idempotency_keys_not_renewed", error=type(error).__name__)
