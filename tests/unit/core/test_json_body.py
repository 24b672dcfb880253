"""The strict reading of JSON: every hostile body is refused with a named error that echoes nothing."""

from __future__ import annotations

import contextlib
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.exceptions import ValidationFailed
from gateway.core.json_body import MAX_DEPTH, parse_json

HOSTILE = {
    "empty": b"",
    "blank": b"  ",
    "garbage": b"{secret-marker",
    "trailing": b'{"a": 1} secret-marker',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "overflow": b'{"a": 1e999}',
    "negative overflow": b'{"a": -1e999}',
    "lone high surrogate": rb'{"a": "\ud800"}',
    "lone low surrogate": rb'{"a": "\udc00 secret-marker"}',
    "surrogate in a key": rb'{"\ud800": 1}',
    "surrogates the wrong way round": rb'{"a": "\udc00\ud800"}',
    "encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "escaped NUL": rb'{"a": "x\u0000y"}',
    "escaped NUL in a key": rb'{"a\u0000": 1}',
    "escaped NUL behind an escaped backslash": rb'{"a": "\\\u0000"}',
    "raw NUL": b'{"a": "\x00"}',
    "control character": b'{"a": "\x01"}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "10,000 deep in objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "900 deep": b"[" * 900 + b"]" * 900,
    "one too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "deep beside shallow": b"[1, " + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]",
    "single quotes": b"{'a': 1}",
    "comment": b'{"a": 1} // x',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_refused_without_an_echo(body: bytes) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_json(body)
    assert "secret-marker" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (rb'"\\u0000"', "\\u0000"),
        (rb'"\\\\u0000"', "\\\\u0000"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud800"', "\\ud800"),
        (b'"\xc2\x85\xe2\x80\xa8"', "\x85\u2028"),
        (b"18446744073709551615", 18446744073709551615),
        (b"18446744073709551616", 18446744073709551616.0),
        (b"1e-9999", 0.0),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"null", None),
    ],
)  # fmt: skip
def test_legal_text_passes_unchanged(body: bytes, value: object) -> None:
    assert parse_json(body) == value


def test_the_deepest_allowed_nesting_passes() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_brackets_in_texts_are_not_nesting() -> None:
    assert parse_json(orjson.dumps({"code": "[{" * 5000})) == {"code": "[{" * 5000}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=40,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_whatever_json_can_say_comes_through(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_named_error(body: bytes) -> None:
    with contextlib.suppress(ValidationFailed):
        orjson.dumps(parse_json(body))
