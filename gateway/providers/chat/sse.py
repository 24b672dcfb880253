"""Reads the JSON of a vendor's stream, server-sent events or lines, in every legal form."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import orjson

from gateway.core.exceptions import UpstreamBroken
from gateway.providers.chat.wire import MAX_LINE

# A line is a field's name, with or without a colon. Anything else is no event stream.
_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]{0,63}(:|$)")
_KNOWN = (b":", b"id:", b"retry:")
# Names of events whose data says nothing, and need not be JSON.
_ALIVE = frozenset({b"ping", b"keepalive", b"keep-alive", b"keep_alive", b"heartbeat"})
_HALF = re.compile("[\ud800-\udfff]")


class Done:
    """The payload `[DONE]`."""


DONE = Done()


def loads(data: bytes) -> Any:
    """JSON of a vendor, with or without a byte order mark; an escaped half of a surrogate pair is kept.

    Raises:
        ValueError: it is no JSON.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(data)
    except ValueError:
        if b"\\u" not in data:
            raise
        try:
            # Servers that cut text by UTF-16 write the halves of a pair in two events; orjson refuses each.
            return json.loads(data)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class WholeText:
    """Joins surrogate pairs that a vendor cut in two; a half that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """The text that is complete; the first half of a pair at its end waits for the next piece."""
        if not self._half and (text.isascii() or not _HALF.search(text)):
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return whole_text(text.removesuffix(self._half) if self._half else text)

    def rest(self) -> str:
        """What stands for a half that was never completed."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


def whole_text(text: str) -> str:
    """`text` with its surrogate pairs joined, and U+FFFD for each lone half."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_json(value: Any) -> Any:
    """A JSON value that can be written as UTF-8: `whole_text` of every text in it, where one needs that."""
    try:
        orjson.dumps(value)
    except TypeError:
        return _replaced(value)
    return value


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {whole_text(name): _replaced(item) for name, item in value.items()}
    return value


class EventReader:
    """The payloads of one stream, in order: parsed JSON, or `DONE`.

    A `data:` line that is JSON by itself is an event at once, whether or not an empty line follows; several
    `data:` lines of one event are joined at the empty line. Lines end with LF, CR LF or CR.
    """

    def __init__(self) -> None:
        self.broken: UpstreamBroken | None = None
        self._tail = b""
        self._start = True
        self._pending: list[bytes] = []
        self._size = 0
        self._alive = False

    def feed(self, data: bytes) -> list[Any]:
        """The payloads that `data` completes; those before garbage, with `broken` set."""
        data = self._tail + data if self._tail else data
        if self._start:
            if len(data) < 3 and codecs.BOM_UTF8.startswith(data):
                self._tail = data
                return []
            data, self._start = data.removeprefix(codecs.BOM_UTF8), False
        held = b""
        if b"\r" in data:
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"  # its LF may be in the next piece
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        self._tail = lines.pop() + held
        events = self._read(lines)
        if len(self._tail) > MAX_LINE or self._size > MAX_LINE:
            self.broken = self.broken or UpstreamBroken()
        return events

    def end(self) -> list[Any]:
        """The payloads that the close of the stream completes; see `feed`."""
        tail, self._tail = self._tail, b""
        return self._read([*tail.replace(b"\r", b"\n").split(b"\n"), b""])

    def _read(self, lines: list[bytes]) -> list[Any]:
        events: list[Any] = []
        try:
            for line in lines:
                if line.startswith(b"data:"):
                    self._data(line[5:], events)
                elif not line.strip():
                    self._dispatch(events)
                elif line.startswith(b"event:"):
                    self._alive = line[6:].strip() in _ALIVE
                elif not line.startswith(_KNOWN) and not _FIELD.match(line):
                    raise UpstreamBroken
        except UpstreamBroken as error:
            self.broken = error
        except ValueError as error:
            self.broken = UpstreamBroken()
            self.broken.__cause__ = error
        return events

    def _data(self, payload: bytes, events: list[Any]) -> None:
        if self._pending:
            self._hold(payload.strip())
            return
        try:
            value = orjson.loads(payload)
        except ValueError:
            self._other(payload.strip(), events)
        else:
            if value is not None:
                events.append(value)

    def _other(self, payload: bytes, events: list[Any]) -> None:
        """A line that is no JSON by itself, or only by the rules of `loads`."""
        if payload == b"[DONE]":
            events.append(DONE)
        elif payload and not self._alive:
            try:
                events.append(loads(payload))
            except ValueError:
                self._hold(payload)

    def _hold(self, payload: bytes) -> None:
        self._pending.append(payload)
        self._size += len(payload) + 1

    def _dispatch(self, events: list[Any]) -> None:
        self._alive = False
        if self._pending:
            payload = b"\n".join(self._pending)
            self._pending, self._size = [], 0
            events.append(loads(payload))


class LineReader:
    """The objects of a stream of one JSON object a line, in order; as `EventReader`."""

    def __init__(self) -> None:
        self.broken: UpstreamBroken | None = None
        self._tail = b""

    def feed(self, data: bytes) -> list[Any]:
        """The objects that `data` completes; those before garbage, with `broken` set."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines.pop()
        if len(self._tail) > MAX_LINE:
            self.broken = UpstreamBroken()
        return self._read(lines)

    def end(self) -> list[Any]:
        """The objects that the close of the stream completes; see `feed`."""
        return self._read([self._tail])

    def _read(self, lines: list[bytes]) -> list[Any]:
        objects: list[Any] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                objects.append(loads(line.strip()))
            except ValueError as error:
                self.broken = UpstreamBroken()
                self.broken.__cause__ = error
                break
        return objects
