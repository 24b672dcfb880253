"""A turn's stream from its first event to its end, over as many connections as it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic

from gateway.client import calls
from gateway.client.errors import ConnectionLost, GatewayClientError, NotFoundError, TurnEnded, error_of
from gateway.client.models import Delta, Done, Replace, TurnEvent, TurnStarted, event_of
from gateway.client.retries import wait_seconds
from gateway.client.sse import Frame, SseParser
from gateway.client.transport import Call

# Of a turn, what holds for another answer to its question too.
_FOR_ANOTHER = ("model", "temperature", "max_tokens", "system", "tools", "on_busy")


class TurnFollower:
    """What has been seen of a turn, and what to do when its connection is gone; does no I/O itself.

    A lost stream is taken up where it broke off, for `resume_seconds` at most; one that was lost before the
    turn had told its name is asked for again under the same key, which is the same turn. A turn that the
    gateway itself had to break off (it was restarted, or it took the lost connection for a client that had
    left) is asked for once more, as another answer to the same question: its text so far is then replaced.
    One that somebody called off is not.
    """

    def __init__(self, first: Call, *, resume_seconds: float, ask_again: bool) -> None:
        self._call = first
        self._options = {name: first.body.get(name) for name in _FOR_ANOTHER}
        self._resume_seconds = resume_seconds
        self._ask_again = ask_again
        self._parser = SseParser()
        self._text: list[str] = []
        self._turn: TurnStarted | None = None
        self._lost_at: float | None = None
        self._tries = 0
        self._asking_again = False
        self._was_lost = False
        self.finished = False

    @property
    def call(self) -> Call:
        """What to open next."""
        return self._call

    @property
    def text(self) -> str:
        return "".join(self._text)

    def feed(self, chunk: bytes) -> Iterator[TurnEvent]:
        """The events that `chunk` completes.

        Raises:
            TurnEnded, GatewayClientError: the stream's `error` event, where nothing more can be done.
        """
        self._lost_at, self._tries = None, 0
        for frame in self._parser.feed(chunk):
            if self.finished:
                return
            yield from self._take(frame)
            if self._asking_again:
                return

    def lost(self, cause: Exception | None) -> float:
        """Seconds to wait before `call` is to be opened again.

        Raises:
            ConnectionLost: there is no way, or no time left, to take the stream up again.
        """
        now = monotonic()
        self._lost_at = now if self._lost_at is None else self._lost_at
        if isinstance(cause, NotFoundError) or (
            isinstance(cause, GatewayClientError) and cause.status is not None and cause.status < 500
        ):
            raise cause
        message_id = self._turn.message_id if self._turn is not None else None
        if message_id is None and isinstance(cause, GatewayClientError):
            raise cause
        if now - self._lost_at >= self._resume_seconds or (message_id is None and self._turn is not None):
            raise ConnectionLost(
                "The stream broke off and could not be taken up again.", partial=self.text
            ) from cause
        self._was_lost = True
        if message_id is None:
            self._parser = SseParser()
        elif not self._asking_again:
            self._open(calls.resume(message_id, self._parser.last_id))
        self._tries += 1
        return wait_seconds(self._tries - 1) if self._tries > 1 else 0.0

    def _open(self, call: Call) -> None:
        last_id = self._parser.last_id
        self._parser = SseParser()
        self._parser.last_id = last_id
        self._call = call

    def begin(self) -> None:
        """A connection for `call` is open."""
        self._asking_again = False

    @property
    def wants_another(self) -> bool:
        """Whether this connection is of no more use, and `call` is to be opened."""
        return self._asking_again

    def _take(self, frame: Frame) -> Iterator[TurnEvent]:
        data = json.loads(frame.data)
        if frame.event == "error":
            self._failed(data)
            yield Replace(text="", reason="The gateway was restarted; the question is asked once more.")
            return
        event = event_of(frame.event, data)
        if event is None:
            return
        if isinstance(event, Done) and self._broken_off(event.message.status) and self._may_ask_again():
            self._regenerate()
            yield Replace(text="", reason="The answer was broken off; the question is asked once more.")
            return
        if isinstance(event, TurnStarted):
            again = self._turn is not None
            self._turn = event
            if again:
                return  # the reader has seen this turn begin
        elif isinstance(event, Delta):
            self._text.append(event.text)
        elif isinstance(event, Replace):
            self._text = [event.text]
        elif isinstance(event, Done):
            self.finished = True
            if event.message.status != "complete":
                raise TurnEnded(
                    f"The turn was {event.message.status}.",
                    turn_status=event.message.status,
                    text=event.message.content,
                    request_id=event.request_id,
                )
        yield event

    def _failed(self, body: dict[str, object]) -> None:
        error = error_of(503, body)
        if error.code == "overloaded" and self._may_ask_again():
            self._regenerate()
            return
        self.finished = True
        raise TurnEnded(
            error.message,
            turn_status="interrupted" if error.code == "overloaded" else "failed",
            text=self.text,
            code=error.code,
            request_id=error.request_id,
        )

    def _broken_off(self, status: str) -> bool:
        """Whether the gateway, and no person, ended the turn."""
        return status == "interrupted" or (status == "cancelled" and self._was_lost)

    def _may_ask_again(self) -> bool:
        return self._ask_again and self._turn is not None and self._turn.message_id is not None

    def _regenerate(self) -> None:
        assert self._turn is not None
        self._ask_again = False
        self._text = []
        self._asking_again = True
        self._parser.last_id = None
        self._open(calls.turn(f"/api/chat/{self._turn.message_id}/regenerate", None, self._options))
