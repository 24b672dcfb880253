"""The events of one turn on their way to one listener, who may be slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from gateway.core.exceptions import Unavailable
from gateway.domain.events import ChatEvent, ReasoningDelta, TextDelta, TurnCompleted, TurnFailed

# A listener that is so many events behind gets what is said meanwhile in larger pieces …
JOIN_AFTER = 64
# … and one for whom so many characters lie ready is given up.
MOST_WAITING = 4 * 1024 * 1024
_TOO_SLOW = "The stream was read too slowly and is ended here."


class _Pieces:
    """Adjacent deltas of one kind that wait together; they are joined when they are taken."""

    __slots__ = ("_logprobs", "_said", "kind")

    def __init__(self, first: TextDelta | ReasoningDelta) -> None:
        self.kind = _kind(first)
        self._said: list[str] = []
        self._logprobs: list[dict[str, object]] = []
        self.add(first)

    def add(self, delta: TextDelta | ReasoningDelta) -> None:
        self._said.append(delta.text)
        if isinstance(delta, TextDelta):
            self._logprobs.extend(delta.logprobs)

    def event(self) -> ChatEvent:
        text = "".join(self._said)
        if self.kind == "reasoning":
            return ReasoningDelta(text)
        return TextDelta(text, tuple(self._logprobs), self.kind == "refusal")


class EventChannel:
    """Holds up no turn and costs bounded memory, however slow its listener is."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._events: deque[ChatEvent | _Pieces] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._waiting = 0  # characters, of those who lag
        self._given_up = False

    def put(self, event: ChatEvent) -> None:
        """Add an event; never waits. The turn's last event ends it."""
        if len(self._events) >= JOIN_AFTER:
            self._put_aside(event)
        elif not self._given_up:
            self._events.append(event)
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)

    async def follow(self) -> AsyncGenerator[ChatEvent, None]:
        """The events, to the turn's last one."""
        while True:
            while self._events:
                event = self._events.popleft()
                if len(self._events) < JOIN_AFTER:
                    self._waiting = 0
                if isinstance(event, _Pieces):
                    event = event.event()
                yield event
                if isinstance(event, (TurnCompleted, TurnFailed)):
                    return
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake

    def _put_aside(self, event: ChatEvent) -> None:
        """Keep an event for a listener who lags."""
        last = self._events[-1]
        self._waiting += _size(event)
        if self._waiting > MOST_WAITING and not isinstance(event, (TurnCompleted, TurnFailed)):
            self._given_up = True
            self._events.clear()
            self._events.append(TurnFailed(Unavailable(_TOO_SLOW, retry_after=1), self._request_id))
        elif not isinstance(event, (TextDelta, ReasoningDelta)):
            self._events.append(event)
        elif isinstance(last, _Pieces) and last.kind == _kind(event):
            last.add(event)
        else:
            self._events.append(_Pieces(event))


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
