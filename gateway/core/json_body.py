"""Strict parsing of JSON bodies, so that later layers accept every value."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from gateway.core.exceptions import ValidationFailed

MAX_DEPTH: Final = 64
# Commas and opening brackets outside strings. Each stands for a value, which needs far more memory as an
# object than as text. Ten thousand messages with parts and tool calls, or 128 large tools, need less than
# half.
MAX_VALUES: Final = 200_000
_OTHER_BYTES: Final = bytes(set(range(256)) - set(b'",[{'))
_WINDOW: Final = 65_536
_SHORT: Final = 2048
_NUL_LOOKALIKE: Final = re.compile(rb"\\u0000")
# An escape for NUL is one only after an even number of backslashes.
_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_CONTAINERS: Final = frozenset((dict, list))


def parse_json(body: bytes) -> Any:
    """Parse a JSON document.

    Rejects anything that is not RFC 8259 (NaN and Infinity, a byte order mark, invalid UTF-8), numbers that
    overflow a double, lone surrogates, NUL in a string or a key, nesting deeper than `MAX_DEPTH`, and more
    than about `MAX_VALUES` members, items, lists and objects. An integer beyond 64 bits becomes the nearest
    double, as RFC 8259 section 6 allows; of a repeated key the last value counts.

    Raises:
        ValidationFailed: the message names at most a line and a column, never the input.
    """
    if len(body) > MAX_VALUES and has_more_values_than(body, MAX_VALUES):
        raise ValidationFailed(f"The body has more than {MAX_VALUES:,} values. Send fewer or longer ones.")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValidationFailed(_explain(error)) from None
    # Cheapest check first: one byte, then six bytes, then the exact pattern.
    if b"\\" in body and _NUL_LOOKALIKE.search(body) and _NUL_ESCAPE.search(body):
        raise ValidationFailed("The body has a NUL character in a string, which cannot be stored. Remove it.")
    # Few brackets cannot nest deeply. In a short body counting them is cheaper than walking the tree; a long
    # body consists mostly of texts, which the walk skips.
    shallow = len(body) < _SHORT and body.count(b"[") + body.count(b"{") <= MAX_DEPTH
    if not shallow and _deeper_than(value, MAX_DEPTH):
        raise ValidationFailed(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return value


def has_more_values_than(body: bytes, limit: int) -> bool:
    """Check whether there are more than `limit` commas and brackets outside strings.

    Linear, and done before anything is parsed. It works on windows of single-byte marks, so that memory does
    not grow with the number of strings.
    """
    if len(body.translate(None, _OTHER_BYTES + b'"')) <= limit:
        return False
    if b"\\" in body:
        # Escaped backslashes first; a character that then follows a backslash is certainly escaped.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = body.translate(None, _OTHER_BYTES)
    count = inside = 0
    for start in range(0, len(marks), _WINDOW):
        pieces = marks[start : start + _WINDOW].split(b'"')
        count += sum(map(len, pieces[inside::2]))
        if count > limit:
            return True
        inside ^= (len(pieces) - 1) & 1
    return False


def _deeper_than(value: Any, limit: int) -> bool:
    """Check whether containers nest deeper than `limit`, without recursion."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(limit):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def _explain(error: orjson.JSONDecodeError) -> str:
    problem = error.msg
    if problem.startswith("depth limit"):
        return f"The body is nested deeper than {MAX_DEPTH} levels."
    if "surrogate" in problem and "UTF-8" not in problem:
        reason = "it has half of a surrogate pair in a string"
    elif "UTF-8 byte order" in problem:
        reason = "it begins with a byte order mark"
    elif "UTF-8" in problem:
        reason = "it is not UTF-8"
    elif "infinity" in problem:
        reason = "it has a number out of range"
    else:
        reason = "the syntax is wrong"
    return f"The body is not valid JSON: {reason} at line {error.lineno}, column {error.colno}."
