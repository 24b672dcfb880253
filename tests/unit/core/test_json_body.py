"""Strict JSON parsing: hostile bodies are rejected without being echoed."""

from __future__ import annotations

import contextlib
import json
import tracemalloc

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import json_body
from gateway.core.exceptions import ValidationFailed
from gateway.core.json_body import MAX_DEPTH, MAX_VALUES, parse_json
from tests.support.hostile_json import HOSTILE_JSON


@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_hostile_body_is_rejected_without_echoing_it(body: bytes) -> None:
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
def test_valid_json_passes_unchanged(body: bytes, value: object) -> None:
    assert parse_json(body) == value


def test_maximum_nesting_passes() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_brackets_in_strings_are_not_nesting() -> None:
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
def test_any_json_value_is_parsed(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_named_error(body: bytes) -> None:
    with contextlib.suppress(ValidationFailed):
        orjson.dumps(parse_json(body))


def _wide(members: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % at for at in range(members)) + b"}"


@pytest.mark.parametrize(
    "body",
    [
        _wide(MAX_VALUES + 1),
        b"[" + b"1," * MAX_VALUES + b"1]",
        b"[" + b"[]," * MAX_VALUES + b"[]]",
        b'["' + b"\\\\" * 70_000 + b'"' + b",1" * (MAX_VALUES + 1) + b"]",
        b'["' + b'\\"' * 70_001 + b'"' + b",1" * (MAX_VALUES + 1) + b"]",
        b"[" + b'"a,",' * MAX_VALUES + b'""]',
    ],
    ids=["members", "items", "lists", "behind backslashes", "behind quotes", "texts with commas"],
)
def test_too_many_values_are_rejected_before_parsing(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orjson, "loads", None)
    with pytest.raises(ValidationFailed, match="more than 200,000 values"):
        parse_json(body)


@pytest.mark.parametrize(
    "text",
    ["a, b, [c], {d} " * 100_000, '\\"' + "," * 300_000, "\\" + "[" * 300_000, 'say "," ' * 100_000],
    ids=["prose", "quotes", "a backslash", "quoted commas"],
)
def test_commas_and_brackets_in_strings_are_not_counted(text: str) -> None:
    body = {"messages": [{"role": "user", "content": text}] * 3}
    assert parse_json(orjson.dumps(body)) == body


def test_maximum_number_of_values_passes() -> None:
    assert len(parse_json(b"[" + b"1," * (MAX_VALUES - 1) + b"1]")) == MAX_VALUES


def test_values_are_counted_across_windows_with_bounded_memory() -> None:
    # One string per three bytes, each starting at a different offset in a window.
    body = b'["' + b'","'.join([b","] * 150_000) + b'"]'
    tracemalloc.start()
    value = json_body.has_more_values_than(body, 150_001)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not value
    assert json_body.has_more_values_than(body, 149_999)
    assert peak < 4 * len(body)


@settings(max_examples=100, deadline=None)
@given(values, st.integers(0, 30), st.integers(1, 9))
def test_count_equals_that_of_a_tree_walk(value: object, limit: int, window: int) -> None:
    def count(one: object) -> int:
        if isinstance(one, dict | list):
            inner = one.values() if isinstance(one, dict) else one
            return 1 + max(0, len(one) - 1) + sum(map(count, inner))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_body, "_WINDOW", window)
        assert json_body.has_more_values_than(json.dumps(value).encode(), limit) == (count(value) > limit)
