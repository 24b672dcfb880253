"""Writes what kept turns say into their logs: all of this worker's turns in one round trip, now and then."""

from __future__ import annotations

import asyncio
from typing import NoReturn
from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.domain.conversations.event_codec import encode, encode_snapshot
from gateway.services.execution.live_turn import LiveTurn
from gateway.services.execution.turn_tasks import TurnTaskRegistry

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.075
# A log that has grown by this much is begun anew with the text so far; a longer text than this has none.
MAX_LOG_BYTES, MAX_LOG_ENTRIES = 512 * 1024, 1000
MAX_SNAPSHOT_BYTES = 4 * 1024 * 1024


class _LogCursor:
    """A turn that is being recorded.

    `lost`: a write failed, so what the log has of it is not known. `silent`: it is too long to be recorded.
    """

    __slots__ = ("bytes_left", "disabled", "entries", "live", "write_failed")

    def __init__(self, live: LiveTurn) -> None:
        self.live = live
        self.write_failed = self.disabled = False
        self.bytes_left, self.entries = MAX_LOG_BYTES, 0


class EventLogWriter:
    """No turn waits for it, and none fails with it.

    A turn that is over before it has been met twice is not recorded: its message says all of it.
    """

    def __init__(self, tasks: TurnTaskRegistry, events: EventLog) -> None:
        self._tasks = tasks
        self._events = events
        self._cursors: dict[UUID, _LogCursor] = {}

    async def run(self) -> NoReturn:
        """Record until cancelled."""
        while True:
            if not self._cursors and not self._tasks.persisted():
                self._tasks.persisted_turn_started.clear()
                await self._tasks.persisted_turn_started.wait()
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception:
                log.exception("turns_not_recorded")

    async def tick(self) -> None:
        """Write down what is new since the last time."""
        written = []
        for cursor in list(self._cursors.values()):
            try:
                if (entry := self._next_entry(cursor)) is not None:
                    written.append((cursor, entry, cursor.live.broadcast.count))
            except Exception:  # what cannot be packed has no log, but it has a message
                log.exception("turn_not_recorded")
                cursor.disabled = True
            if cursor.live.broadcast.ended:
                del self._cursors[cursor.live.message_id]
        for running in self._tasks.persisted():
            if running.live is not None and not running.live.broadcast.ended:
                self._cursors.setdefault(running.live.message_id, _LogCursor(running.live))
        if written:
            await self._write(written)

    async def aclose(self) -> None:
        """Write down how the last turns ended."""
        await self.tick()

    def _next_entry(self, cursor: _LogCursor) -> LogEntry | None:
        """What to write of the turn now."""
        live, broadcast = cursor.live, cursor.live.broadcast
        if (
            cursor.disabled
            or broadcast.count <= live.logged_count
            or (broadcast.ended and not live.logged_count)
        ):
            return None
        if not self._events.available:
            cursor.write_failed = True
            return None
        data = encode(live.logged_count + 1, broadcast.events_after(live.logged_count))
        if broadcast.ended or not (
            cursor.write_failed or len(data) > cursor.bytes_left or cursor.entries >= MAX_LOG_ENTRIES
        ):
            return LogEntry(live.message_id, data, renews_ttl=broadcast.ended or not live.logged_count)
        data = encode_snapshot(broadcast.turn_started, broadcast.count, live.accumulator.text)
        if len(data) > MAX_SNAPSHOT_BYTES:
            cursor.disabled = True
            data = b""
        return LogEntry(live.message_id, data, replaces_earlier=True)

    async def _write(self, written: list[tuple[_LogCursor, LogEntry, int]]) -> None:
        try:
            await self._events.append([entry for _, entry, _ in written])
        except ValkeyUnavailable:
            for cursor, _, _ in written:
                cursor.write_failed = True
            return
        for cursor, entry, number in written:
            cursor.live.logged_count = number
            if entry.replaces_earlier:
                cursor.write_failed, cursor.bytes_left, cursor.entries = False, MAX_LOG_BYTES, 1
            else:
                cursor.bytes_left -= len(entry.data)
                cursor.entries += 1
