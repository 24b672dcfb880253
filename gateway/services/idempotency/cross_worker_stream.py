"""Sends a running stream through Valkey to workers that requested it."""

from __future__ import annotations

import asyncio
from uuid import UUID

from gateway.cache.client import ValkeyUnavailable
from gateway.cache.event_log import EventLog, LogEntry
from gateway.core.exceptions import GatewayError
from gateway.domain.idempotency import ResponseHead
from gateway.services.execution.worker_bus import WorkerBus
from gateway.services.idempotency.response_buffer import ResponseBuffer

_TICK_SECONDS = 0.075
_WAIT_SECONDS = 0.2
# The first byte of an entry: the stream's head, more of its body, its end.
_HEAD, _MORE, _END = b"h", b"m", b"e"


class CrossWorkerStream:
    """Sends the streams of this worker to others, and reads those of others.

    A stream is sent only after another worker has requested it. Complete responses are never sent, because
    they may contain secrets.
    """

    def __init__(self, events: EventLog, bus: WorkerBus) -> None:
        self._events = events
        self._bus = bus
        self._recordings: dict[UUID, ResponseBuffer] = {}
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        bus.subscribe("stream_requested", self._on_requested)

    def register(self, stream_id: UUID, recording: ResponseBuffer) -> None:
        """Offer a stream to other workers until `unregister`."""
        self._recordings[stream_id] = recording

    def unregister(self, stream_id: UUID) -> None:
        self._recordings.pop(stream_id, None)

    async def request(self, stream_id: UUID) -> None:
        """Ask the worker that has the stream to send it; delivery is best effort."""
        await self._bus.publish("stream_requested", stream_id)

    async def read(self, stream_id: UUID, after: bytes, recording: ResponseBuffer) -> bytes:
        """Append the entries after the position `after` to `recording`.

        Waits up to `_WAIT_SECONDS` if there are none.

        Returns:
            the new position.
        """
        try:
            entries = await self._events.read(stream_id, after, wait=_WAIT_SECONDS)
        except ValkeyUnavailable:
            await asyncio.sleep(_WAIT_SECONDS)
            return after
        for position, data in entries:
            after = position
            kind, data = data[:1], data[1:]
            if kind == _HEAD and not recording.started:
                recording.start(ResponseHead.deserialize(data)[0])
            elif kind == _MORE and recording.started:
                recording.append(data)
            elif kind == _END and recording.started:
                recording.end()
        return after

    def _on_requested(self, stream_id: UUID) -> None:
        recording = self._recordings.get(stream_id)
        if recording is None or stream_id in self._sending:
            return
        task = self._sending[stream_id] = asyncio.create_task(self._send(stream_id, recording))
        task.add_done_callback(lambda _: self._sending.pop(stream_id, None))

    async def _send(self, stream_id: UUID, recording: ResponseBuffer) -> None:
        try:
            head = await recording.head()
            if not head.streamed:
                return
            await self._append(stream_id, _HEAD + head.serialize(b""), replaces_earlier=True)
            sent = 0
            while not recording.ended or recording.chunk_count > sent:
                await recording.wait_for_more(sent)
                count = recording.chunk_count
                if count > sent:
                    await self._append(stream_id, _MORE + recording.bytes_from(sent))
                    sent = count
                if not recording.ended:
                    await asyncio.sleep(_TICK_SECONDS)
            await self._append(stream_id, _END)
        except (ValkeyUnavailable, GatewayError):
            return  # the other worker reads the response from the database once it is stored

    async def _append(self, stream_id: UUID, data: bytes, *, replaces_earlier: bool = False) -> None:
        await self._events.append([LogEntry(stream_id, data, replaces_earlier=replaces_earlier)])
