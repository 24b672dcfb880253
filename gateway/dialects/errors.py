"""Encodes errors: status, headers and body as in docs/API.md."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from gateway.core.exceptions import GatewayError, ValidationFailed

# Without a known wait time, clients should still not retry at once.
_DEFAULT_RETRY_SECONDS = 1.0
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_PARAM = 200
# pydantic's names for the alternatives of a union: `str`, `list[ContentPart]`, `NamedToolChoice`.
_UNION_ALTERNATIVE = re.compile(
    r"(?:str|int|float|bool|none|any)|.*\[.*|(?:function|constrained)-.*|[A-Z]\w*", re.S
)

# pydantic's messages of these types name a type or a limit, never the value.
_SAFE_TYPES = frozenset(
    {
        "bool_parsing", "bool_type", "bytes_type", "date_type", "datetime_type", "decimal_max_digits",
        "decimal_max_places", "decimal_parsing", "decimal_type", "decimal_whole_digits", "dict_type", "enum",
        "finite_number", "float_parsing", "float_type", "frozen_set_type", "greater_than",
        "greater_than_equal", "int_from_float", "int_parsing", "int_parsing_size", "int_type", "less_than",
        "less_than_equal", "list_type", "literal_error", "mapping_type", "model_attributes_type",
        "model_type", "multiple_of", "none_required", "set_type", "string_pattern_mismatch",
        "string_too_long", "string_too_short", "string_type", "string_unicode", "timezone_aware", "too_long",
        "too_short", "tuple_type", "union_tag_not_found", "url_too_long", "url_type", "uuid_type",
    }
)  # fmt: skip
_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "This field is not known.",
    "json_invalid": "The body is not valid JSON.",
    "uuid_parsing": "This is not a valid UUID.",
    "datetime_parsing": "This is not a valid date and time.",
    "datetime_from_date_parsing": "This is not a valid date and time.",
    "url_parsing": "This is not a valid URL.",
    "url_scheme": "This is not a valid URL.",
    "union_tag_invalid": "This type is not known.",
}
_GENERIC_MESSAGE = "This value is not valid."


def render_error(error: GatewayError, request_id: str | None) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Return the HTTP status, the headers (lower-case names) and the body of an error.

    `x-request-id` is not included: the middleware sets it on every response.
    """
    headers: dict[str, str] = {}
    wait = error.retry_after
    if wait is None and error.status in (429, 503) and error.retryable:
        wait = _DEFAULT_RETRY_SECONDS
    if wait is not None:
        headers["retry-after"] = str(max(1, math.ceil(wait)))
        headers["retry-after-ms"] = str(max(1, math.ceil(wait * 1000)))
    if not error.retryable:
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    body = {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "request_id": request_id,
        **error.details,
    }
    return error.status, headers, {"error": body}


def validation_error(errors: Iterable[Mapping[str, Any]]) -> ValidationFailed:
    """Convert pydantic's `errors()` to one `ValidationFailed`, without input."""
    all_errors = list(errors)
    if not all_errors:
        return ValidationFailed()
    first = _most_specific(all_errors)
    param = safe_path(first.get("loc", ()))
    sentence = _message_for(first)
    return ValidationFailed(f"{param}: {sentence}" if param else sentence, param=param)


def _most_specific(errors: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the first error.

    For a union, the error of the alternative that matched furthest.
    """
    field = _field_path(errors[0]["loc"])
    if len(field) == len(errors[0]["loc"]):
        return errors[0]
    candidates = [error for error in errors if _field_path(error["loc"])[: len(field)] == field]
    return max(candidates, key=lambda e: (len(_field_path(e["loc"])), not str(e["type"]).endswith("_type")))


def _field_path(loc: Iterable[str | int]) -> list[str | int]:
    """Return a path without the names of union alternatives."""
    return [part for part in loc if not (isinstance(part, str) and _UNION_ALTERNATIVE.fullmatch(part))]


def safe_path(loc: Iterable[str | int]) -> str | None:
    """Return a path such as `messages.0.content`.

    It ends before a segment that may be client input.
    """
    segments = [str(segment) for segment in _field_path(loc)]
    if segments and segments[0] in ("body", "query", "path", "header", "cookie"):
        segments = segments[1:]
    plain: list[str] = []
    for segment in segments:
        if not _PLAIN_SEGMENT.fullmatch(segment):
            break
        plain.append(segment)
    return ".".join(plain)[:_MAX_PARAM] or None


def _message_for(error: Mapping[str, Any]) -> str:
    kind = error.get("type", "")
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    context = error.get("ctx") or {}
    if kind in ("value_error", "assertion_error") and isinstance(context.get("error"), Exception):
        # The message of one of our own validators.
        return str(context["error"]) or _GENERIC_MESSAGE
    if kind == "value_error" and "email" in error.get("msg", ""):
        return "This is not a valid e-mail address."
    return f"{error['msg']}." if kind in _SAFE_TYPES else _GENERIC_MESSAGE


def error_response_parts(error: GatewayError, request_id: str | None) -> tuple[int, dict[str, str], bytes]:
    """Return `render_error` with a JSON body and its content type, ready for a `Response`."""
    status, headers, body = render_error(error, request_id)
    headers["content-type"] = "application/json"
    return status, headers, orjson.dumps(body)
