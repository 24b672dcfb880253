"""Replays an event log in order, without duplicates or gaps."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.conversations.event_codec import EndOfTurn, HiddenEvent, LoggedEvent, Snapshot, decode
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced

RESUMED_REASON = "The connection was resumed. This is the text so far."


class MissingEvents(Exception):
    """Events are missing, so the log cannot be used."""


class EventLogReader:
    """Consumes log entries in order and yields events after `last_sent`.

    `last_sent` is the number of the last event that the reader has. `text` is the answer up to that event,
    or None while the log has not reached it.
    """

    def __init__(self, last_sent: int) -> None:
        self.last_sent = last_sent
        self.ended = False
        self._last_consumed = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str | None:
        return "".join(self._pieces) if self._last_consumed == self.last_sent else None

    def consume(self, data: bytes) -> Iterator[tuple[int, ChatEvent]]:
        """Yield the new events of an entry, each with its number.

        Raises:
            MissingEvents: an earlier event is not in the log. ValueError: the entry cannot be decoded.
        """
        for number, logged in decode(data):
            if number <= self._last_consumed or self.ended:
                continue  # a write that was retried
            if isinstance(logged, Snapshot):
                self._pieces = [logged.text]
                event: LoggedEvent = TextReplaced(logged.text, RESUMED_REASON)
            elif number != self._last_consumed + 1:
                raise MissingEvents
            elif isinstance(logged, EndOfTurn):
                self.ended = True
                return
            else:
                event = logged
                self._apply(event)
            self._last_consumed = number
            if number > self.last_sent:
                self.last_sent = number
                if not isinstance(event, (HiddenEvent, Snapshot, EndOfTurn)):
                    yield number, event

    def _apply(self, event: LoggedEvent) -> None:
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        elif isinstance(event, TextReplaced):
            self._pieces = [event.text]
