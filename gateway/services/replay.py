"""What a log tells of a turn, put in order: nothing twice, nothing missing, and the text it comes to."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.event_batches import Ended, Logged, Snapshot, Unshown, unpack
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced

TAKEN_UP = "The connection was taken up again; this is the text so far."


class Gap(Exception):
    """Events are missing: the log cannot be gone by."""


class Replay:
    """Told of each entry of a log, from its beginning; gives out what comes behind `told`.

    `told` is the number of the last event that the listener has. `text` is the answer up to that one, None
    where it is not known.
    """

    def __init__(self, told: int) -> None:
        self.told = told
        self.ended = False
        self._known = 0
        self._pieces: list[str] = []

    @property
    def text(self) -> str | None:
        return "".join(self._pieces) if self._known == self.told else None

    def take(self, data: bytes) -> Iterator[tuple[int, ChatEvent]]:
        """The events of an entry that are news, each with its number.

        Raises:
            Gap: what should come before is not there. ValueError: the entry cannot be read.
        """
        for number, logged in unpack(data):
            if number <= self._known or self.ended:
                continue  # a write that was tried again
            if isinstance(logged, Snapshot):
                self._pieces = [logged.text]
                event: Logged = TextReplaced(logged.text, TAKEN_UP)
            elif number != self._known + 1:
                raise Gap
            elif isinstance(logged, Ended):
                self.ended = True
                return
            else:
                event = logged
                self._fold(event)
            self._known = number
            if number > self.told:
                self.told = number
                if not isinstance(event, (Unshown, Snapshot, Ended)):
                    yield number, event

    def _fold(self, event: Logged) -> None:
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        elif isinstance(event, TextReplaced):
            self._pieces = [event.text]
