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
from gateway.domain.idempotency import Keyed
from gateway.domain.principal import Principal
from gateway.services.bus import Bus
from gateway.services.idempotency import Done, Idempotency
from gateway.services.tape import Tape

# How long what nobody waits for any more is kept for a retry: the clients' first pause is half of it.
GRACE_SECONDS = 1.0
# How long a retry waits for another worker to say that it has the attempt, looking at these times.
_LOOKS = (0.03, 0.05, 0.1, 0.15)
_KEPT_SECONDS = 10.0
_MOST_REFUSED, _REFUSED_SECONDS = 10_000, 30.0


@dataclass(slots=True, eq=False)
class Attempt:
    """A request that may be sent again while it is under way.

    `gone`: its client has left. `tape` is there once somebody else wants the answer.
    """

    id: bytes
    user_id: UUID
    request_id: str
    gone: bool = False
    tape: Tape | None = None
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _telling: asyncio.Task[None] | None = None

    def inherit(self) -> Tape:
        """The answer for somebody else."""
        if self.tape is None:
            self.tape = Tape()
        self._wanted.set()
        return self.tape

    async def left(self) -> None:
        """Its client has gone: returns once nobody has come for the answer for a while, else never."""
        self.gone = True
        if await self.wanted():
            await asyncio.Future()

    async def wanted(self) -> bool:
        """Whether somebody comes for the answer within the grace."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._wanted.wait()
        except TimeoutError:
            return self._wanted.is_set()
        return True

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold on to what tells the tape."""
        self._telling = task

    @property
    def keyed(self) -> Keyed:
        """The attempt as workers tell each other of it."""
        scope = b"retry:" + self.user_id.bytes
        return Keyed(scope, self.id.hex(), self.id, self.request_id, self.user_id, _KEPT_SECONDS)


class Rejoining:
    """The attempts of this worker; those of others are asked for by a word, once a retry has come."""

    def __init__(self, idempotency: Idempotency, bus: Bus) -> None:
        self._idempotency = idempotency
        self._bus = bus
        self._attempts: dict[bytes, list[Attempt]] = {}
        self._refused: OrderedDict[bytes, list[float]] = OrderedDict()
        self._asking: set[UUID] = set()
        self._lending: set[asyncio.Task[None]] = set()
        bus.on("retried", self._hear)

    def begin(self, principal: Principal, content: bytes, request_id: str) -> Attempt:
        """An attempt at the request whose `content` no other one has; to be ended by `end`."""
        attempt = Attempt(_id(principal, content), principal.user_id, request_id)
        self._attempts.setdefault(attempt.id, []).append(attempt)
        return attempt

    def end(self, attempt: Attempt) -> None:
        """Nobody can join it any more."""
        left = self._attempts.get(attempt.id, [])
        if attempt in left:
            left.remove(attempt)
        if not left:
            self._attempts.pop(attempt.id, None)

    def end_later(self, attempt: Attempt) -> None:
        """It has its answer, and nobody to tell it to."""
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self.end, attempt)

    def refused(self, attempt: Attempt) -> None:
        """Its client was told to come again: the retry that follows is not one of another's attempt."""
        self._refused.setdefault(attempt.id, []).append(_now())
        self._refused.move_to_end(attempt.id)
        if len(self._refused) > _MOST_REFUSED:
            self._refused.popitem(last=False)

    async def join(self, principal: Principal, content: bytes, request_id: str) -> Tape | None:
        """What the retry's first attempt answers, here or on another worker; None where there is none."""
        id_ = _id(principal, content)
        if (attempt := self._find(id_)) is not None:
            return attempt.inherit()
        about = UUID(bytes=id_[:16])
        self._asking.add(about)
        try:
            if await self._bus.say("retried", about) < 2:
                return None
            keyed = Attempt(id_, principal.user_id, request_id).keyed
            for pause in _LOOKS:
                await asyncio.sleep(pause)
                if await self._idempotency.knows(keyed):
                    tape, _ = await self._idempotency.answer(keyed, _nobody)
                    return tape
        except Lost:
            return None
        finally:
            self._asking.discard(about)
        return None

    async def aclose(self) -> None:
        """Let what is lent be written down."""
        while self._lending:
            await asyncio.wait(set(self._lending))

    def _find(self, id_: bytes) -> Attempt | None:
        """An attempt whose client has left; else the only one that there is, if it cannot be another's."""
        attempts = self._attempts.get(id_, [])
        for attempt in attempts:
            if attempt.gone:
                return attempt
        times = [time for time in self._refused.pop(id_, []) if time > _now() - _REFUSED_SECONDS]
        if times:
            if times[1:]:
                self._refused[id_] = times[1:]
            return None
        return attempts[0] if len(attempts) == 1 else None

    def _hear(self, about: UUID) -> None:
        """Another worker has a retry: an attempt that is here is lent to it through the table."""
        if about in self._asking:
            return
        for id_ in list(self._attempts):
            if id_[:16] == about.bytes and (attempt := self._find(id_)) is not None:
                task = asyncio.create_task(self._lend(attempt))
                self._lending.add(task)
                task.add_done_callback(self._lending.discard)

    async def _lend(self, attempt: Attempt) -> None:
        source = attempt.inherit()

        async def work(tape: Tape) -> Done:
            tape.begin(head := await source.head())
            async for chunk in source.chunks():
                tape.add(chunk)
            tape.end()
            return Done(keep=head.status < 400)

        try:
            tape, _ = await self._idempotency.answer(attempt.keyed, work)
            await tape.body()
        except GatewayError:
            return  # whoever asked finds nothing, and makes an attempt of its own


async def _nobody(tape: Tape) -> Done:
    """Whoever had the attempt has died with it."""
    raise Lost


class Lost(GatewayError):
    """The attempt that was to be joined is no more; one of one's own has to be made."""


def _id(principal: Principal, content: bytes) -> bytes:
    caller = (principal.user_id.bytes, principal.api_key_id.bytes if principal.api_key_id else b"")
    return hashlib.sha256(b"".join((*caller, content))).digest()


def _now() -> float:
    return asyncio.get_running_loop().time()
