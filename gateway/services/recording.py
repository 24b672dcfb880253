"""Writes what kept turns say into their logs: all of this worker's turns in one round trip, now and then."""

from __future__ import annotations

import asyncio
from typing import NoReturn
from uuid import UUID

import structlog

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.domain.event_batches import pack, pack_snapshot
from gateway.services.live import LiveTurn
from gateway.services.turns import TurnTasks

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.075
# A log that has grown by this much is begun anew with the text so far; a longer text than this has none.
MOST_BYTES, MOST_ENTRIES = 512 * 1024, 1000
MOST_TEXT_BYTES = 4 * 1024 * 1024


class _Track:
    """A turn that is being recorded.

    `lost`: a write failed, so what the log has of it is not known. `silent`: it is too long to be recorded.
    """

    __slots__ = ("entries", "live", "lost", "room", "silent")

    def __init__(self, live: LiveTurn) -> None:
        self.live = live
        self.lost = self.silent = False
        self.room, self.entries = MOST_BYTES, 0


class Recorder:
    """No turn waits for it, and none fails with it.

    A turn that is over before it has been met twice is not recorded: its message says all of it.
    """

    def __init__(self, tasks: TurnTasks, events: EventLog) -> None:
        self._tasks = tasks
        self._events = events
        self._tracks: dict[UUID, _Track] = {}

    async def run(self) -> NoReturn:
        """Record until cancelled."""
        while True:
            if not self._tracks and not self._tasks.kept():
                self._tasks.stirred.clear()
                await self._tasks.stirred.wait()
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except Exception:
                log.exception("turns_not_recorded")

    async def tick(self) -> None:
        """Write down what is new since the last time."""
        written = []
        for track in list(self._tracks.values()):
            try:
                if (entry := self._entry(track)) is not None:
                    written.append((track, entry, track.live.feed.count))
            except Exception:  # what cannot be packed has no log, but it has a message
                log.exception("turn_not_recorded")
                track.silent = True
            if track.live.feed.ended:
                del self._tracks[track.live.message_id]
        for running in self._tasks.kept():
            if running.live is not None and not running.live.feed.ended:
                self._tracks.setdefault(running.live.message_id, _Track(running.live))
        if written:
            await self._write(written)

    async def aclose(self) -> None:
        """Write down how the last turns ended."""
        await self.tick()

    def _entry(self, track: _Track) -> LogEntry | None:
        """What to write of the turn now."""
        live, feed = track.live, track.live.feed
        if track.silent or feed.count <= live.logged or (feed.ended and not live.logged):
            return None
        if not self._events.available:
            track.lost = True
            return None
        data = pack(live.logged + 1, feed.since(live.logged))
        if feed.ended or not (track.lost or len(data) > track.room or track.entries >= MOST_ENTRIES):
            return LogEntry(live.message_id, data, renews=feed.ended or not live.logged)
        data = pack_snapshot(feed.first, feed.count, live.progress.text)
        if len(data) > MOST_TEXT_BYTES:
            track.silent = True
            data = b""
        return LogEntry(live.message_id, data, alone=True)

    async def _write(self, written: list[tuple[_Track, LogEntry, int]]) -> None:
        try:
            await self._events.append([entry for _, entry, _ in written])
        except ValkeyUnavailable:
            for track, _, _ in written:
                track.lost = True
            return
        for track, entry, number in written:
            track.live.logged = number
            if entry.alone:
                track.lost, track.room, track.entries = False, MOST_BYTES, 1
            else:
                track.room -= len(entry.data)
                track.entries += 1
