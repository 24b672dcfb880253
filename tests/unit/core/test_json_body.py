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
from tests.upstreams.hostile import HOSTILE_JSON


@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
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
