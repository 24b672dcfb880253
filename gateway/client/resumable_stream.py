"""A turn's event stream that survives lost connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic

from gateway.client import requests
from gateway.client.errors import (
    ConnectionLost,
    GatewayClientError,
    NotFoundError,
    TurnEnded,
    error_from_body,
)
from gateway.client.models import Delta, Done, Replace, TurnEvent, TurnStarted, parse_event
from gateway.client.retries import backoff_seconds
from gateway.client.sse import SseFrame, SseParser
from gateway.client.transport import ApiRequest

# Options of a turn that also apply when its answer is regenerated.
_REGENERATE_OPTIONS = ("model", "temperature", "max_tokens", "system", "tools", "on_busy")


class ResumableStream:
    """State of a turn's stream and decisions about reconnecting.

    Performs no I/O itself.

    A lost stream is resumed where it broke off, for at most `resume_seconds`. A stream that was lost before
    the turn's id was known is requested again with the same idempotency key, which is the same turn. A turn
    that the gateway interrupted (it was restarted, or it took the lost connection for a disconnected client)
    is regenerated once, and its text so far is replaced. A turn that a person cancelled is not.
    """

    def __init__(self, first: ApiRequest, *, resume_seconds: float, ask_again: bool) -> None:
        self._call = first
        self._options = {name: first.body.get(name) for name in _REGENERATE_OPTIONS}
        self._resume_seconds = resume_seconds
        self._ask_again = ask_again
        self._parser = SseParser()
        self._text: list[str] = []
        self._started: TurnStarted | None = None
        self._lost_at: float | None = None
        self._retries = 0
        self._regenerating = False
        self._was_lost = False
        self.finished = False

    @property
    def call(self) -> ApiRequest:
        """The request to send next."""
        return self._call

    @property
    def text(self) -> str:
        return "".join(self._text)

    def feed(self, chunk: bytes) -> Iterator[TurnEvent]:
        """Yield the events that `chunk` completes.

        Raises:
            TurnEnded, GatewayClientError: the stream's `error` event, if there is no way to continue.
        """
        self._lost_at, self._retries = None, 0
        for frame in self._parser.feed(chunk):
            if self.finished:
                return
            yield from self._handle_frame(frame)
            if self._regenerating:
                return

    def on_connection_lost(self, cause: Exception | None) -> float:
        """Return the seconds to wait before `call` is sent again.

        Raises:
            ConnectionLost: the stream cannot be resumed, or not in time.
        """
        now = monotonic()
        self._lost_at = now if self._lost_at is None else self._lost_at
        if isinstance(cause, NotFoundError) or (
            isinstance(cause, GatewayClientError) and cause.status is not None and cause.status < 500
        ):
            raise cause
        message_id = self._started.message_id if self._started is not None else None
        if message_id is None and isinstance(cause, GatewayClientError):
            raise cause
        if now - self._lost_at >= self._resume_seconds or (message_id is None and self._started is not None):
            raise ConnectionLost(
                "The stream broke off and could not be resumed.", partial=self.text
            ) from cause
        self._was_lost = True
        if message_id is None:
            self._parser = SseParser()
        elif not self._regenerating:
            self._set_next_call(requests.resume(message_id, self._parser.last_id))
        self._retries += 1
        return backoff_seconds(self._retries - 1) if self._retries > 1 else 0.0

    def _set_next_call(self, call: ApiRequest) -> None:
        last_id = self._parser.last_id
        self._parser = SseParser()
        self._parser.last_id = last_id
        self._call = call

    def on_connected(self) -> None:
        """Note that a connection for `call` is open."""
        self._regenerating = False

    @property
    def needs_reconnect(self) -> bool:
        """Whether to close this connection and send `call`."""
        return self._regenerating

    def _handle_frame(self, frame: SseFrame) -> Iterator[TurnEvent]:
        data = json.loads(frame.data)
        if frame.event == "error":
            self._handle_error(data)
            yield Replace(text="", reason="The gateway was restarted; the answer is being regenerated.")
            return
        event = parse_event(frame.event, data)
        if event is None:
            return
        if isinstance(event, Done) and self._was_interrupted(event.message.status) and self._may_regenerate():
            self._regenerate()
            yield Replace(text="", reason="The answer was interrupted; it is being regenerated.")
            return
        if isinstance(event, TurnStarted):
            again = self._started is not None
            self._started = event
            if again:
                return  # the reader has already seen this event
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

    def _handle_error(self, body: dict[str, object]) -> None:
        error = error_from_body(503, body)
        if error.code == "overloaded" and self._may_regenerate():
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

    def _was_interrupted(self, status: str) -> bool:
        """Whether the gateway, and not a person, ended the turn."""
        return status == "interrupted" or (status == "cancelled" and self._was_lost)

    def _may_regenerate(self) -> bool:
        return self._ask_again and self._started is not None and self._started.message_id is not None

    def _regenerate(self) -> None:
        assert self._started is not None
        self._ask_again = False
        self._text = []
        self._regenerating = True
        self._parser.last_id = None
        self._set_next_call(
            requests.turn(f"/api/chat/{self._started.message_id}/regenerate", None, self._options)
        )
