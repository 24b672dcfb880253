"""Writes events of all persisted turns to their event logs in one round trip."""

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
# A log larger than this is replaced by a snapshot of the text. A text that is larger still has no log.
MAX_LOG_BYTES, MAX_LOG_ENTRIES = 512 * 1024, 1000
MAX_SNAPSHOT_BYTES = 4 * 1024 * 1024


class _LogCursor:
    """The logging position of one turn.

    `write_failed`: the log's content is unknown, so the next write has to be a snapshot. `disabled`: the turn
    is too long to be logged, or cannot be encoded.
    """

    __slots__ = ("bytes_left", "disabled", "entries", "live", "write_failed")

    def __init__(self, live: LiveTurn) -> None:
        self.live = live
        self.write_failed = self.disabled = False
        self.bytes_left, self.entries = MAX_LOG_BYTES, 0


class EventLogWriter:
    """Writes event logs in the background.

    Turns do not wait for a write, and a failed write does not fail a turn.

    A turn that ends before its second tick is not logged: its stored message is enough to resume it.
    """

    def __init__(self, tasks: TurnTaskRegistry, events: EventLog) -> None:
        self._tasks = tasks
        self._events = events
        self._cursors: dict[UUID, _LogCursor] = {}

    async def run(self) -> NoReturn:
        """Write until cancelled; sleep while no persisted turn is running."""
        while True:
            if not self._cursors and not self._tasks.persisted():
                self._tasks.persisted_turn_started.clear()
                await self._tasks.persisted_turn_started.wait()
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception:
                log.exception("event_log.write_failed")

    async def tick(self) -> None:
        """Write the events since the last tick."""
        written = []
        for cursor in list(self._cursors.values()):
            try:
                if (entry := self._next_entry(cursor)) is not None:
                    written.append((cursor, entry, len(cursor.live.broadcast)))
            except Exception:
                log.exception("event_log.encoding_failed")
                cursor.disabled = True
            if cursor.live.broadcast.closed:
                del self._cursors[cursor.live.message_id]
        for task in self._tasks.persisted():
            if task.live is not None and not task.live.broadcast.closed:
                self._cursors.setdefault(task.live.message_id, _LogCursor(task.live))
        if written:
            await self._write(written)

    async def aclose(self) -> None:
        """Write the ends of the last turns."""
        await self.tick()

    def _next_entry(self, cursor: _LogCursor) -> LogEntry | None:
        """Return the next log entry of the turn, if any."""
        live, broadcast = cursor.live, cursor.live.broadcast
        up_to_date = len(broadcast) <= live.logged_count
        if cursor.disabled or up_to_date or (broadcast.closed and not live.logged_count):
            return None
        if not self._events.available:
            cursor.write_failed = True
            return None
        data = encode(live.logged_count + 1, broadcast.after(live.logged_count))
        full = len(data) > cursor.bytes_left or cursor.entries >= MAX_LOG_ENTRIES
        if broadcast.closed or not (cursor.write_failed or full):
            return LogEntry(live.message_id, data, renews_ttl=broadcast.closed or not live.logged_count)
        data = encode_snapshot(broadcast.turn_started, len(broadcast), live.accumulator.text)
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
