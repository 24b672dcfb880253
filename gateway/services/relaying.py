"""A stream on its way to those who joined it on another worker: through Valkey, for as long as it is made."""

from __future__ import annotations

import asyncio
from uuid import UUID

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.core.exceptions import GatewayError
from gateway.domain.idempotency import Head
from gateway.services.bus import Bus
from gateway.services.tape import Tape

_TICK_SECONDS = 0.075
_WAIT_SECONDS = 0.2
# What an entry is: how the stream begins, more of it, its end.
_HEAD, _MORE, _END = b"h", b"m", b"e"


class Relay:
    """Nothing is sent before somebody on another worker asks; only streams are, which hold no secrets."""

    def __init__(self, events: EventLog, bus: Bus) -> None:
        self._events = events
        self._bus = bus
        self._tapes: dict[UUID, Tape] = {}
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        bus.on("followed", self._hear)

    def offer(self, attempt: UUID, tape: Tape) -> None:
        """Others may ask for this one, until `withdraw`."""
        self._tapes[attempt] = tape

    def withdraw(self, attempt: UUID) -> None:
        self._tapes.pop(attempt, None)

    async def ask(self, attempt: UUID) -> None:
        """Have another worker send it; what is lost on the way is asked for again."""
        await self._bus.say("followed", attempt)

    async def read(self, attempt: UUID, after: bytes, tape: Tape) -> bytes:
        """Tell the tape what has come behind the position `after`; the new position.

        Waits a moment where there is nothing.
        """
        try:
            entries = await self._events.read(attempt, after, wait=_WAIT_SECONDS)
        except ValkeyUnavailable:
            await asyncio.sleep(_WAIT_SECONDS)
            return after
        for position, data in entries:
            after = position
            kind, data = data[:1], data[1:]
            if kind == _HEAD and not tape.begun:
                tape.begin(Head.and_body(data)[0])
            elif kind == _MORE and tape.begun:
                tape.add(data)
            elif kind == _END and tape.begun:
                tape.end()
        return after

    def _hear(self, attempt: UUID) -> None:
        tape = self._tapes.get(attempt)
        if tape is None or attempt in self._sending:
            return
        task = self._sending[attempt] = asyncio.create_task(self._send(attempt, tape))
        task.add_done_callback(lambda _: self._sending.pop(attempt, None))

    async def _send(self, attempt: UUID, tape: Tape) -> None:
        try:
            head = await tape.head()
            if not head.streamed:
                return
            await self._append(attempt, _HEAD + head.with_body(b""), alone=True)
            sent = 0
            while not tape.ended or tape.count > sent:
                await tape.more(sent)
                count = tape.count
                if count > sent:
                    await self._append(attempt, _MORE + tape.since(sent))
                    sent = count
                if not tape.ended:
                    await asyncio.sleep(_TICK_SECONDS)
            await self._append(attempt, _END)
        except (ValkeyUnavailable, GatewayError):
            return  # who follows is told when the answer is in the table

    async def _append(self, attempt: UUID, data: bytes, *, alone: bool = False) -> None:
        await self._events.append([LogEntry(attempt, data, alone=alone)])
