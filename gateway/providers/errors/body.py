"""Extracts code, message and parameter from the error bodies of all vendors."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_RETRY_AFTER_SECONDS = 3600.0
_MAX_CHARACTERS = 4096
# Limits of the search for fields: nesting depth and number of objects.
_MAX_DEPTH, _MAX_OBJECTS = 5, 64
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}")
# Fields with the error's message, best first, and fields with its code or type.
_MESSAGE_FIELDS = ("message", "detail", "error_msg", "msg", "status_msg", "faultstring", "title", "error")
_CODE_FIELDS = (
    "code",
    "type",
    "status",
    "error_type",
    "error_code",
    "errorcode",
    "reason",
    "__type",
    "object",
)
# Fields that contain further error objects. Any other field may contain text of the request.
_CONTAINER_FIELDS = frozenset(
    {
        *("error", "errors", "detail", "details", "message", "metadata", "innererror", "inner_error"),
        *("base_resp", "fault", "raw", "body", "response", "cause", "data"),
    }
)


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The contents of an error body; `searchable_text` is all its text in lower case."""

    searchable_text: str
    message: str
    param: str | None = None
    retry_after: float | None = None


def parse_error_body(body: bytes) -> ErrorDetails:
    """Parse an error body; one that is not JSON is used as text."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MAX_CHARACTERS].decode("utf-8", "replace").strip()
        return ErrorDetails(text.lower(), "" if text.startswith("<") else text)
    return extract_error_details(data)


def extract_error_details(data: Any) -> ErrorDetails:
    """Return the details of an error body that is parsed JSON."""
    if isinstance(data, list) and data:  # Gemini's OpenAI-compatible endpoint
        data = data[0]
    if not isinstance(data, Mapping):
        text = str(data)[:_MAX_CHARACTERS]
        return ErrorDetails(text.lower(), text)
    inner = data.get("error")
    error: Mapping[str, Any] = inner if isinstance(inner, Mapping) else data
    message = inner if isinstance(inner, str) else _first_text(error, *_MESSAGE_FIELDS[:4])
    texts: list[str] = []
    retry_after: float | None = None
    for fields in _iter_error_objects(data):
        texts += [
            _with_location(fields, fields[name])
            for name in _MESSAGE_FIELDS
            if isinstance(fields.get(name), str)
        ]
        texts += [str(fields[name]) for name in _CODE_FIELDS if isinstance(fields.get(name), str | int)]
        if isinstance(fields.get("raw"), str):  # OpenRouter: the message of the vendor behind it
            texts.append(fields["raw"])
        if delay := _DELAY.fullmatch(str(fields.get("retryDelay") or "")):
            retry_after = min(float(delay[1]), MAX_RETRY_AFTER_SECONDS)
    if not message:
        message = next((text for text in texts if " " in text), "")
    # One line per distinct text, so that no pattern matches across two of them.
    searchable = "\n".join(dict.fromkeys([message, *texts]))
    param = error.get("param")
    field = param if isinstance(param, str) and _PARAM.fullmatch(param) else None
    return ErrorDetails(searchable[:_MAX_CHARACTERS].lower(), message[:_MAX_CHARACTERS], field, retry_after)


def _iter_error_objects(data: Mapping[str, Any], depth: int = _MAX_DEPTH) -> Iterator[Mapping[str, Any]]:
    """Yield the object and the error objects nested in it, breadth first."""
    current: list[Mapping[str, Any]] = [data]
    count = 0
    for _ in range(depth):
        children: list[Mapping[str, Any]] = []
        for fields in current:
            count += 1
            if count > _MAX_OBJECTS:
                return
            yield fields
            for name, value in fields.items():
                if name.lower() not in _CONTAINER_FIELDS:
                    continue
                values = value[:_MAX_OBJECTS] if isinstance(value, list) else [value]
                children += [value for value in values if isinstance(value, Mapping)]
        current = children


def _first_text(fields: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _with_location(fields: Mapping[str, Any], message: str) -> str:
    """Prefix the message with its `loc`, which FastAPI and similar servers send."""
    location = fields.get("loc")
    if not isinstance(location, list):
        return message
    return f"{'.'.join(str(part)[:64] for part in location[:8])}: {message}"
