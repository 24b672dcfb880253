"""The events of kept turns in Valkey: a stream a turn, for an hour, for any worker to tell again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from gateway.cache.client import DEADLINE_SECONDS, ValkeyClient, ValkeyUnavailable

TTL_SECONDS = 3600
# Readers that wait for more, each on a connection of its own; further ones look again and again.
MAX_BLOCKED_READERS = 64
_POLL_SECONDS = 0.25
_PER_READ = 500
_FIELD = b"b"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Some events of a turn, packed; `alone` if they stand for all that was written before.

    Without data there is no log of the turn any more. `renews`: it lives for another hour from here.
    """

    message_id: UUID
    data: bytes
    replaces_earlier: bool = False
    renews_ttl: bool = False


class EventLog:
    """Every method but `forget` raises `ValkeyUnavailable` where Valkey is away."""

    def __init__(self, valkey: ValkeyClient) -> None:
        self._valkey = valkey
        self._waiting = asyncio.Semaphore(MAX_BLOCKED_READERS)

    @property
    def available(self) -> bool:
        """Whether it is worth trying."""
        return self._valkey.available

    async def append(self, entries: Sequence[LogEntry]) -> None:
        """Write them down, all in one round trip; one that fails half-way may be written twice."""

        async def write(redis: Redis) -> None:
            async with redis.pipeline(transaction=False) as pipe:
                for entry in entries:
                    key = _key(entry.message_id)
                    if not entry.data:
                        pipe.execute_command("UNLINK", key)
                        continue
                    trim = ("MAXLEN", "=", 1) if entry.replaces_earlier else ()
                    pipe.execute_command("XADD", key, *trim, "*", _FIELD, entry.data)
                    if entry.renews_ttl or entry.replaces_earlier:
                        pipe.execute_command("EXPIRE", key, TTL_SECONDS)
                await pipe.execute()

        await self._valkey.run(write)

    async def delete(self, message_ids: Sequence[UUID]) -> None:
        """Drop the turns' events; what cannot be dropped now goes by itself within the hour."""
        for at in range(0, len(message_ids), _PER_READ):
            try:
                await self._valkey.execute("UNLINK", *map(_key, message_ids[at : at + _PER_READ]))
            except ValkeyUnavailable:
                return

    async def read(
        self, message_id: UUID, after: bytes = b"0-0", *, wait: float = 0.0
    ) -> list[tuple[bytes, bytes]]:
        """(position, packed events) of the entries behind the position `after`, oldest first.

        Args:
            wait: seconds to wait for one where there is none; none at all may come.
        """
        if not wait:
            return await self._read(message_id, after)
        if self._waiting.locked():
            await asyncio.sleep(min(wait, _POLL_SECONDS))
            return await self._read(message_id, after)
        async with self._waiting:
            return await self._read(message_id, after, wait)

    async def _read(self, message_id: UUID, after: bytes, wait: float = 0.0) -> list[tuple[bytes, bytes]]:
        block = ("BLOCK", max(1, round(wait * 1000))) if wait else ()

        async def ask(redis: Redis) -> Any:
            command = ("XREAD", "COUNT", _PER_READ, *block, "STREAMS", _key(message_id), after)
            return await redis.execute_command(*command)  # type: ignore[no-untyped-call]

        reply = await self._valkey.run(ask, deadline=DEADLINE_SECONDS + wait)
        return [(position, fields[_FIELD]) for _, entries in reply or () for position, fields in entries]


def _key(message_id: UUID) -> str:
    return f"turn:{message_id.hex}"
