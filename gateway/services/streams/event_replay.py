"""What a log tells of a turn, put in order: nothing twice, nothing missing, and the text it comes to."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.conversations.event_codec import HiddenEvent, LoggedEvent, Snapshot, TurnEnded, decode
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced

RESUMED_REASON = "The connection was taken up again; this is the text so far."


class MissingEvents(Exception):
    """Events are missing: the log cannot be gone by."""


class EventLogReplay:
    """Told of each entry of a log, from its beginning; gives out what comes behind `told`.

    `told` is the number of the last event that the listener has. `text` is the answer up to that one, None
    where it is not known.
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
        """The events of an entry that are news, each with its number.

        Raises:
            Gap: what should come before is not there. ValueError: the entry cannot be read.
        """
        for number, logged in decode(data):
            if number <= self._last_consumed or self.ended:
                continue  # a write that was tried again
            if isinstance(logged, Snapshot):
                self._pieces = [logged.text]
                event: LoggedEvent = TextReplaced(logged.text, RESUMED_REASON)
            elif number != self._last_consumed + 1:
                raise MissingEvents
            elif isinstance(logged, TurnEnded):
                self.ended = True
                return
            else:
                event = logged
                self._apply(event)
            self._last_consumed = number
            if number > self.last_sent:
                self.last_sent = number
                if not isinstance(event, (HiddenEvent, Snapshot, TurnEnded)):
                    yield number, event

    def _apply(self, event: LoggedEvent) -> None:
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        elif isinstance(event, TextReplaced):
            self._pieces = [event.text]
