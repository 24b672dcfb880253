"""Decodes streams of JSON objects: server-sent events and newline-delimited JSON."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import orjson

from gateway.core.exceptions import UpstreamBroken
from gateway.providers.http.exchange import MAX_LINE_BYTES

# A line begins with a field name, with or without a colon. Anything else is not an event stream.
_FIELD_LINE = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]{0,63}(:|$)")
_IGNORED_PREFIXES = (b":", b"id:", b"retry:")
# Events without payload, whose data need not be JSON.
_KEEPALIVE_EVENTS = frozenset({b"ping", b"keepalive", b"keep-alive", b"keep_alive", b"heartbeat"})
_SURROGATE = re.compile("[\ud800-\udfff]")


class DoneMarker:
    """The payload `[DONE]`."""


DONE = DoneMarker()


def parse_event_json(data: bytes) -> Any:
    """Parse JSON, with or without a byte order mark.

    Escaped lone surrogates are preserved.

    Raises:
        ValueError: it is not JSON.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(data)
    except ValueError:
        if b"\\u" not in data:
            raise
        try:
            # Servers that split text by UTF-16 units send a surrogate pair in two events; orjson rejects
            # each.
            return json.loads(data)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class SurrogateJoiner:
    """Joins surrogate pairs that a vendor split across events.

    A lone surrogate becomes U+FFFD.
    """

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> str:
        """Return the complete text; a high surrogate at its end waits for the next call."""
        if not self._pending and (text.isascii() or not _SURROGATE.search(text)):
            return text
        text = self._pending + text
        self._pending = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return repair_surrogates(text.removesuffix(self._pending) if self._pending else text)

    def flush(self) -> str:
        """Return U+FFFD for a pending high surrogate, else an empty string."""
        pending, self._pending = self._pending, ""
        return "\ufffd" if pending else ""


def repair_surrogates(text: str) -> str:
    """Join surrogate pairs, and replace lone surrogates by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repair_json_surrogates(value: Any) -> Any:
    """Repair the surrogates of all texts in a JSON value, so that it can be encoded as UTF-8."""
    try:
        orjson.dumps(value)
    except TypeError:
        return _repair(value)
    return value


def _repair(value: Any) -> Any:
    if isinstance(value, str):
        return repair_surrogates(value)
    if isinstance(value, list):
        return [_repair(item) for item in value]
    if isinstance(value, dict):
        return {repair_surrogates(name): _repair(item) for name, item in value.items()}
    return value


class SSEDecoder:
    """Decodes the payloads of an event stream: parsed JSON, or `DONE`.

    A `data:` line that is complete JSON is an event at once, whether or not an empty line follows. Several
    `data:` lines of one event are joined at the empty line. Lines end with LF, CR LF or CR.
    """

    def __init__(self) -> None:
        self.error: UpstreamBroken | None = None
        self._buffer = b""
        self._at_start = True
        self._data_lines: list[bytes] = []
        self._data_size = 0
        self._in_keepalive = False

    def feed(self, data: bytes) -> list[Any]:
        """Return the payloads that `data` completes.

        On malformed input, return those before it and set `error`.
        """
        data = self._buffer + data if self._buffer else data
        if self._at_start:
            if len(data) < 3 and codecs.BOM_UTF8.startswith(data):
                self._buffer = data
                return []
            data, self._at_start = data.removeprefix(codecs.BOM_UTF8), False
        carriage_return = b""
        if b"\r" in data:
            if data.endswith(b"\r"):
                data, carriage_return = data[:-1], b"\r"  # the LF may be in the next chunk
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        self._buffer = lines.pop() + carriage_return
        events = self._parse_lines(lines)
        if len(self._buffer) > MAX_LINE_BYTES or self._data_size > MAX_LINE_BYTES:
            self.error = self.error or UpstreamBroken()
        return events

    def feed_eof(self) -> list[Any]:
        """Return the payloads that the end of the stream completes; see `feed`."""
        rest, self._buffer = self._buffer, b""
        return self._parse_lines([*rest.replace(b"\r", b"\n").split(b"\n"), b""])

    def _parse_lines(self, lines: list[bytes]) -> list[Any]:
        events: list[Any] = []
        try:
            for line in lines:
                if line.startswith(b"data:"):
                    self._handle_data(line[5:], events)
                elif not line.strip():
                    self._dispatch(events)
                elif line.startswith(b"event:"):
                    self._in_keepalive = line[6:].strip() in _KEEPALIVE_EVENTS
                elif not line.startswith(_IGNORED_PREFIXES) and not _FIELD_LINE.match(line):
                    raise UpstreamBroken
        except UpstreamBroken as error:
            self.error = error
        except ValueError as error:
            self.error = UpstreamBroken()
            self.error.__cause__ = error
        return events

    def _handle_data(self, payload: bytes, events: list[Any]) -> None:
        if self._data_lines:
            self._append_data(payload.strip())
            return
        try:
            value = orjson.loads(payload)
        except ValueError:
            self._handle_other_data(payload.strip(), events)
        else:
            if value is not None:
                events.append(value)

    def _handle_other_data(self, payload: bytes, events: list[Any]) -> None:
        """Handle data that orjson cannot parse.

        It may be the end marker, contain lone surrogates, or be a part of an event.
        """
        if payload == b"[DONE]":
            events.append(DONE)
        elif payload and not self._in_keepalive:
            try:
                events.append(parse_event_json(payload))
            except ValueError:
                self._append_data(payload)

    def _append_data(self, payload: bytes) -> None:
        self._data_lines.append(payload)
        self._data_size += len(payload) + 1

    def _dispatch(self, events: list[Any]) -> None:
        self._in_keepalive = False
        if self._data_lines:
            payload = b"\n".join(self._data_lines)
            self._data_lines, self._data_size = [], 0
            events.append(parse_event_json(payload))


class NDJSONDecoder:
    """Decodes a stream of one JSON object per line, like `SSEDecoder`."""

    def __init__(self) -> None:
        self.error: UpstreamBroken | None = None
        self._buffer = b""

    def feed(self, data: bytes) -> list[Any]:
        """Return the objects that `data` completes.

        On malformed input, return those before it and set `error`.
        """
        lines = (self._buffer + data).split(b"\n")
        self._buffer = lines.pop()
        if len(self._buffer) > MAX_LINE_BYTES:
            self.error = UpstreamBroken()
        return self._parse_lines(lines)

    def feed_eof(self) -> list[Any]:
        """Return the objects that the end of the stream completes; see `feed`."""
        return self._parse_lines([self._buffer])

    def _parse_lines(self, lines: list[bytes]) -> list[Any]:
        objects: list[Any] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                objects.append(parse_event_json(line.strip()))
            except ValueError as error:
                self.error = UpstreamBroken()
                self.error.__cause__ = error
                break
        return objects
