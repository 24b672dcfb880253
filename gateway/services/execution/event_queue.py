"""The events of one turn on their way to one listener, who may be slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from gateway.core.exceptions import Unavailable
from gateway.domain.events import ChatEvent, ReasoningDelta, TextDelta, TurnCompleted, TurnFailed

# A listener that is so many events behind gets what is said meanwhile in larger pieces …
COALESCE_AFTER = 64
# … and one for whom so many characters lie ready is given up.
MAX_PENDING_CHARACTERS = 4 * 1024 * 1024
_TOO_SLOW = "The stream was read too slowly and is ended here."


class _DeltaRun:
    """Adjacent deltas of one kind that wait together; they are joined when they are taken."""

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
    """Holds up no turn and costs bounded memory, however slow its listener is."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._events: deque[ChatEvent | _DeltaRun] = deque()
        self._wakeup: asyncio.Future[None] | None = None
        self._pending_characters = 0  # characters, of those who lag
        self._overflowed = False

    def put(self, event: ChatEvent) -> None:
        """Add an event; never waits. The turn's last event ends it."""
        if len(self._events) >= COALESCE_AFTER:
            self._put_lagging(event)
        elif not self._overflowed:
            self._events.append(event)
            if self._wakeup is not None and not self._wakeup.done():
                self._wakeup.set_result(None)

    async def events(self) -> AsyncGenerator[ChatEvent, None]:
        """The events, to the turn's last one."""
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
            self._wakeup = asyncio.get_running_loop().create_future()
            await self._wakeup

    def _put_lagging(self, event: ChatEvent) -> None:
        """Keep an event for a listener who lags."""
        last = self._events[-1]
        self._pending_characters += _size(event)
        if self._pending_characters > MAX_PENDING_CHARACTERS and not isinstance(
            event, (TurnCompleted, TurnFailed)
        ):
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
            return len(text) + 200 * len(logprobs)
        case ReasoningDelta(text=text):
            return len(text)
        case _:
            return 200
