"""Parser of server-sent events, as specified by the HTML standard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Larger than any event of the gateway.
_MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SseFrame:
    event: str
    data: str
    id: str | None


class SseParser:
    """Accepts chunks of any size; yields a frame once its blank line has arrived."""

    def __init__(self) -> None:
        self._buffer = b""
        self._event = ""
        self._data: list[str] = []
        self.last_id: str | None = None

    def feed(self, chunk: bytes) -> Iterator[SseFrame]:
        """Yield the frames that `chunk` completes.

        Raises:
            ValueError: a line is too long or not UTF-8.
        """
        self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > _MAX_LINE_BYTES:
            raise ValueError("an SSE line is too long")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8")
            if line:
                self._field(line)
            elif self._data:
                frame = SseFrame(self._event or "message", "\n".join(self._data), self.last_id)
                self._event, self._data = "", []
                yield frame
            else:
                self._event = ""

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_id = value
