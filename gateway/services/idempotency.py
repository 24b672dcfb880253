"""Requests with a key: one is done, all others with the same key are told what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.core.exceptions import Conflict, GatewayError, IdempotencyMismatch, Unavailable
from gateway.core.ids import new_id
from gateway.core.sealing import Sealer
from gateway.domain.budget import LEASE_SECONDS
from gateway.domain.idempotency import Keyed
from gateway.repositories.idempotency import IdempotencyRepository, KeyState
from gateway.services.relaying import Relay
from gateway.services.tape import Tape
from gateway.services.turns import TurnTasks

log = structlog.get_logger(__name__)

# Pauses between two looks at what another worker does, and between tries to write down an answer, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_TRIES = (0.05, 0.25, 1.0, 3.0)
_LOST = "The worker that made this answer has gone; ask again."
_UNREADABLE = "What this key was answered cannot be read any more; take a new one."


@dataclass(frozen=True, slots=True)
class Done:
    """What becomes of a key whose request was done: its answer is kept, or the key is free again.

    `owner` is the account that the request made.
    """

    keep: bool
    owner: UUID | None = None


# Does the request and tells the tape all of its answer; raises where there is none.
Work = Callable[[Tape], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class _Ask:
    """A keyed request in the words of the table."""

    keyed: Keyed
    id: bytes
    fingerprint: bytes
    holder: UUID

    @property
    def secret(self) -> tuple[bytes, bytes]:
        """What opens the answer; the table has neither."""
        return self.keyed.scope, self.keyed.key.encode()


class Idempotency:
    """Across workers and restarts the table says who is at a request; in a worker all share one tape.

    The work runs in a task of its own: nobody's leaving ends it, for a key says that its sender comes back.
    Whoever holds a key renews it; where its process dies, one of those who wait does the work, or the next
    one who asks.
    """

    def __init__(
        self,
        keys: IdempotencyRepository,
        sealer: Sealer,
        tasks: TurnTasks,
        relay: Relay,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._keys = keys
        self._sealer = sealer
        self._worker = tasks
        self._relay = relay
        self._lease_seconds = lease_seconds
        self._tapes: dict[tuple[bytes, bytes], Tape] = {}
        self._held: dict[tuple[bytes, UUID], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def answer(self, keyed: Keyed, work: Work) -> tuple[Tape, bool]:
        """The tape of the request, and whether it is somebody else's doing.

        Raises (here or from the tape):
            IdempotencyMismatch: the key is another request's. Conflict: its answer cannot be read any more.
            NotFound: the account has gone. Unavailable: the database cannot be reached; nothing was done.
            whatever `work` raised.
        """
        ask = _Ask(keyed, self._id(keyed), self._sealer.name(b"request", keyed.content), new_id())
        place = (ask.id, ask.fingerprint)
        if (tape := self._tapes.get(place)) is not None:
            await tape.head()
            return tape, True
        tape = self._tapes[place] = Tape()
        doing: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._start(self._conduct(ask, tape, work, doing))
        await tape.head()
        return tape, not (doing.done() and doing.result())

    async def knows(self, keyed: Keyed) -> bool:
        """Whether somebody is at the request, or it has an answer."""
        return await self._keys.look(self._id(keyed)) is not None

    async def tidy(self) -> None:
        """Forget what was kept for its time."""
        await self._keys.tidy()

    async def aclose(self) -> None:
        """Let what is under way end, its answers written down."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        if self._renewing is not None:
            self._renewing.cancel()

    def _id(self, keyed: Keyed) -> bytes:
        return self._sealer.name(b"key", keyed.scope, keyed.key.encode())

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _conduct(self, ask: _Ask, tape: Tape, work: Work, doing: asyncio.Future[bool]) -> None:
        """Do the work, unless it is done or being done; whatever happens, the tape ends."""
        try:
            kept = await self._claimed(ask, tape)
            doing.set_result(kept is None)
            if kept is not None:
                tape.finish(kept)
                return
            await self._do(ask, tape, work)
        except BaseException as error:
            if not tape.ended:
                tape.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._tapes.pop((ask.id, ask.fingerprint), None)

    async def _claimed(self, ask: _Ask, tape: Tape) -> bytes | None:
        """None once the key is ours, or the answer that it has.

        A stream that another worker makes is told on the tape meanwhile.
        """
        pause = _FIRST_PAUSE
        place = b"0-0"
        asked: UUID | None = None
        while True:
            state = await self._claim(ask)
            while state is not None and not state.claimed:
                if state.fingerprint != ask.fingerprint:
                    raise IdempotencyMismatch
                if state.answer is not None:
                    return self._open(ask, state.answer)
                if state.abandoned:
                    break
                self._worker.admit()
                if pause < _LONGEST_PAUSE:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                elif asked != state.holder:
                    if tape.begun:
                        raise Unavailable(_LOST, retry_after=1)
                    place, asked = b"0-0", state.holder
                    await self._relay.ask(state.holder)
                else:
                    place = await self._relay.read(state.holder, place, tape)
                state = await self._keys.look(ask.id)
            if tape.begun:
                raise Unavailable(_LOST, retry_after=1)
            if state is not None and state.claimed:
                return None

    async def _claim(self, ask: _Ask) -> KeyState | None:
        keyed = ask.keyed
        state = await self._keys.claim(
            ask.id,
            ask.fingerprint,
            ask.holder,
            user_id=keyed.user_id,
            request_id=keyed.request_id,
            kept_seconds=keyed.kept_seconds,
            lease_seconds=self._lease_seconds,
        )
        if state is not None and state.claimed:
            self._held[ask.id, ask.holder] = asyncio.get_running_loop().time()
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew())
        return state

    async def _do(self, ask: _Ask, tape: Tape, work: Work) -> None:
        done = Done(keep=False)
        try:
            self._relay.offer(ask.holder, tape)
            done = await work(tape)
        finally:
            if not done.keep:  # who comes now does not hear of it, but waits until the key is free
                self._tapes.pop((ask.id, ask.fingerprint), None)
            await self._patiently(ask, tape, done)
            self._held.pop((ask.id, ask.holder), None)
            self._relay.withdraw(ask.holder)

    async def _patiently(self, ask: _Ask, tape: Tape, done: Done) -> None:
        """Write down what became of the key; until then nobody else may have it."""
        answer = self._sealer.seal(tape.whole(), *ask.secret) if done.keep else None
        for pause in (*_TRIES, None):
            try:
                if answer is None:
                    await self._keys.free(ask.id, ask.holder)
                else:
                    await self._keys.keep(ask.id, ask.holder, answer, done.owner)
                return
            except Unavailable:
                if pause is None:
                    log.error("idempotent_answer_not_kept", request_id=ask.keyed.request_id)
                    return
                await asyncio.sleep(pause)

    def _open(self, ask: _Ask, answer: bytes) -> bytes:
        kept = self._sealer.open(answer, *ask.secret)
        if kept is None:
            raise Conflict(_UNREADABLE, param="Idempotency-Key")
        return kept

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 4)
            if not self._held:
                continue
            try:
                await self._keys.renew(list(self._held), self._lease_seconds)
            except GatewayError as error:
                log.warning("idempotency_keys_not_renewed", error=type(error).__name__)
