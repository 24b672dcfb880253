"""Reads what vendors' error bodies say, in all their forms."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_RETRY_AFTER = 3600.0
_MAX_WORDS = 4096
# Fields are looked for this deep, in so many objects at most.
_DEPTH, _MOST = 5, 64
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}")
# What holds an error's sentence, the best first, and what holds a word for its kind.
_SENTENCES = ("message", "detail", "error_msg", "msg", "status_msg", "faultstring", "title", "error")
_KINDS = ("code", "type", "status", "error_type", "error_code", "errorcode", "reason", "__type", "object")
# What holds further objects; anything else may hold what the request said.
_HOLDERS = frozenset(
    {
        *("error", "errors", "detail", "details", "message", "metadata", "innererror", "inner_error"),
        *("base_resp", "fault", "raw", "body", "response", "cause", "data"),
    }
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says: its words as one lower-case text to look in, the message, the field."""

    text: str
    message: str
    param: str | None = None
    retry_after: float | None = None


def read_complaint(body: bytes) -> Complaint:
    """The code, type, message and field of an error body in any of the vendors' forms, or its text."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MAX_WORDS].decode("utf-8", "replace").strip()
        return Complaint(text.lower(), "" if text.startswith("<") else text)
    return complaint_of(data)


def complaint_of(data: Any) -> Complaint:
    """As `read_complaint`, of a body that has been parsed."""
    if isinstance(data, list) and data:  # Gemini's OpenAI-compatible endpoint
        data = data[0]
    if not isinstance(data, Mapping):
        text = str(data)[:_MAX_WORDS]
        return Complaint(text.lower(), text)
    inner = data.get("error")
    error: Mapping[str, Any] = inner if isinstance(inner, Mapping) else data
    message = inner if isinstance(inner, str) else _first_text(error, *_SENTENCES[:4])
    words: list[str] = []
    wait: float | None = None
    for fields in _objects(data):
        words += [_placed(fields, fields[name]) for name in _SENTENCES if isinstance(fields.get(name), str)]
        words += [str(fields[name]) for name in _KINDS if isinstance(fields.get(name), str | int)]
        if isinstance(fields.get("raw"), str):  # OpenRouter: what the vendor behind it said
            words.append(fields["raw"])
        if delay := _DELAY.fullmatch(str(fields.get("retryDelay") or "")):
            wait = min(float(delay[1]), MAX_RETRY_AFTER)
    if not message:
        message = next((word for word in words if " " in word), "")
    # Each word once, and in a line of its own: a pattern is not to span two of them.
    said = "\n".join(dict.fromkeys([message, *words]))
    param = error.get("param")
    named = param if isinstance(param, str) and _PARAM.fullmatch(param) else None
    return Complaint(said[:_MAX_WORDS].lower(), message[:_MAX_WORDS], named, wait)


def _objects(data: Mapping[str, Any], depth: int = _DEPTH) -> Iterator[Mapping[str, Any]]:
    """The object and those in it that belong to an error, breadth first."""
    level: list[Mapping[str, Any]] = [data]
    count = 0
    for _ in range(depth):
        below: list[Mapping[str, Any]] = []
        for fields in level:
            count += 1
            if count > _MOST:
                return
            yield fields
            for name, value in fields.items():
                if name.lower() not in _HOLDERS:
                    continue
                held = value[:_MOST] if isinstance(value, list) else [value]
                below += [one for one in held if isinstance(one, Mapping)]
        level = below


def _first_text(fields: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _placed(fields: Mapping[str, Any], sentence: str) -> str:
    """The sentence with the place that it is about, as FastAPI and its kin give it."""
    place = fields.get("loc")
    if not isinstance(place, list):
        return sentence
    return f"{'.'.join(str(part)[:64] for part in place[:8])}: {sentence}"
