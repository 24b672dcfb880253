"""Queue of one turn's events for a single reader, which may be slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from gateway.core.exceptions import Unavailable
from gateway.domain.events import ChatEvent, ReasoningDelta, TextDelta, TurnCompleted, TurnFailed

# Deltas are merged for a reader that is this many events behind …
COALESCE_AFTER = 64
# … and a reader that is this many characters behind loses its stream.
MAX_PENDING_CHARACTERS = 4 * 1024 * 1024
_TOO_SLOW = "The stream was read too slowly and has been closed. Send the request again."
# What an event without text counts as.
_EVENT_CHARACTERS = 200


class _DeltaRun:
    """Adjacent deltas of one kind, merged when they are read."""

    __slots__ = ("_logprobs", "_texts", "kind")

    def __init__(self, first: TextDelta | ReasoningDelta) -> None:
        self.kind = _kind(first)
        self._texts: list[str] = []
        self._logprobs: list[dict[str, object]] = []
        self.add(first)

    def add(self, delta: TextDelta | ReasoningDelta) -> None:
        self._texts.append(delta.text)
        if isinstance(delta, TextDelta):
            self._logprobs.extend(delta.logprobs)

    def merged(self) -> ChatEvent:
        text = "".join(self._texts)
        if self.kind == "reasoning":
            return ReasoningDelta(text)
        return TextDelta(text, tuple(self._logprobs), self.kind == "refusal")


class CoalescingQueue:
    """A queue with bounded memory that never blocks its writer."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._events: deque[ChatEvent | _DeltaRun] = deque()
        self._wakeup = asyncio.Event()
        self._pending_characters = 0  # counted only while the reader lags
        self._overflowed = False

    def put(self, event: ChatEvent) -> None:
        """Add an event; never waits. The turn's last event ends the queue."""
        if len(self._events) >= COALESCE_AFTER:
            self._put_lagging(event)
        elif not self._overflowed:
            self._events.append(event)
            self._wakeup.set()

    async def events(self) -> AsyncGenerator[ChatEvent, None]:
        """Yield the events, up to and including the turn's last one."""
        while True:
            while self._events:
                event = self._events.popleft()
                if len(self._events) < COALESCE_AFTER:
                    self._pending_characters = 0
                if isinstance(event, _DeltaRun):
                    event = event.merged()
                yield event
                if isinstance(event, (TurnCompleted, TurnFailed)):
                    return
            self._wakeup.clear()
            await self._wakeup.wait()

    def _put_lagging(self, event: ChatEvent) -> None:
        """Add an event for a slow reader: merge deltas, and fail at the size limit."""
        last = self._events[-1]
        self._pending_characters += _size(event)
        ends = isinstance(event, (TurnCompleted, TurnFailed))
        if self._pending_characters > MAX_PENDING_CHARACTERS and not ends:
            self._overflowed = True
            self._events.clear()
            self._events.append(TurnFailed(Unavailable(_TOO_SLOW, retry_after=1), self._request_id))
        elif not isinstance(event, (TextDelta, ReasoningDelta)):
            self._events.append(event)
        elif isinstance(last, _DeltaRun) and last.kind == _kind(event):
            last.add(event)
        else:
            self._events.append(_DeltaRun(event))


def _kind(delta: TextDelta | ReasoningDelta) -> str:
    if isinstance(delta, ReasoningDelta):
        return "reasoning"
    return "refusal" if delta.refusal else "text"


def _size(event: ChatEvent) -> int:
    match event:
        case TextDelta(text=text, logprobs=logprobs):
            return len(text) + _EVENT_CHARACTERS * len(logprobs)
        case ReasoningDelta(text=text):
            return len(text)
        case _:
            return _EVENT_CHARACTERS
