"""Event logs of persisted turns: one Valkey stream per turn, kept for an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from gateway.cache.client import DEADLINE_SECONDS, ValkeyClient, ValkeyUnavailable

TTL_SECONDS = 3600
# Readers that block for new entries, each on its own connection; further readers poll.
MAX_BLOCKED_READERS = 64
_POLL_SECONDS = 0.25
_PER_READ = 500
_FIELD = b"b"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Encoded events of a turn.

    `replaces_earlier`: this entry replaces all earlier ones. `renews_ttl`: the log lives for another hour
    from here. An entry without data deletes the log.
    """

    message_id: UUID
    data: bytes
    replaces_earlier: bool = False
    renews_ttl: bool = False


class EventLog:
    """Event logs by message id. Every method but `delete` raises `ValkeyUnavailable`."""

    def __init__(self, valkey: ValkeyClient) -> None:
        self._valkey = valkey
        self._waiting = asyncio.Semaphore(MAX_BLOCKED_READERS)

    @property
    def available(self) -> bool:
        """Whether a command would be attempted at all."""
        return self._valkey.available

    async def append(self, entries: Sequence[LogEntry]) -> None:
        """Append entries in one round trip.

        After a partial failure an entry may be written twice.
        """

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
        """Delete the turns' logs. Logs that cannot be deleted now expire within the hour."""
        for at in range(0, len(message_ids), _PER_READ):
            try:
                await self._valkey.execute("UNLINK", *map(_key, message_ids[at : at + _PER_READ]))
            except ValkeyUnavailable:
                return

    async def read(
        self, message_id: UUID, after: bytes = b"0-0", *, wait: float = 0.0
    ) -> list[tuple[bytes, bytes]]:
        """Return (position, encoded events) after the position `after`, oldest first.

        Args:
            wait: seconds to wait for an entry if there is none; the result may still be empty.
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

        async def read_stream(redis: Redis) -> Any:
            command = ("XREAD", "COUNT", _PER_READ, *block, "STREAMS", _key(message_id), after)
            return await redis.execute_command(*command)  # type: ignore[no-untyped-call]

        reply = await self._valkey.run(read_stream, deadline=DEADLINE_SECONDS + wait)
        return [(position, fields[_FIELD]) for _, entries in reply or () for position, fields in entries]


def _key(message_id: UUID) -> str:
    return f"turn:{message_id.hex}"
