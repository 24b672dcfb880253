"""Validation of role output is bounded, whatever the model writes or the schema contains."""

from __future__ import annotations

import json
import time

import pytest

from gateway.services.roles.output_schema import OutputSchema


def shape(pattern: str) -> OutputSchema:
    return OutputSchema({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})


@pytest.mark.parametrize("pattern", [r"^[a-z0-9]+(?:-[a-z0-9]+)*$", r"^\w+$", r"^(a|b)+$"])
def test_a_pattern_of_the_schema_is_enforced(pattern: str) -> None:
    assert shape(pattern).extract('{"a": "ab"}') == ({"a": "ab"}, "")
    value, complaint = shape(pattern).extract('{"a": "a b!"}')
    assert value is None
    assert "pattern" in complaint


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", [r"^(?:.?){60}!$", r"^(a|aa)+$x", r"(a+)+\Z"])
def test_a_slow_pattern_times_out(pattern: str) -> None:
    started = time.thread_time()
    value, complaint = shape(pattern).extract(json.dumps({"a": "a" * 2_000 + "가"}))
    assert value is None
    assert "pattern" in complaint
    assert time.thread_time() - started < 5


def test_a_schema_refers_to_no_other_document() -> None:
    for part in ({"$ref": "https://example.com/schema.json"}, {"allOf": [{"$ref": "file:///etc/passwd"}]}):
        with pytest.raises(ValueError, match="refers to another document"):
            OutputSchema({"type": "object", "properties": {"a": part}})


def test_a_slow_pattern_of_names_is_refused() -> None:
    with pytest.raises(ValueError, match="patternProperties"):
        OutputSchema({"type": "object", "patternProperties": {"^(a+)+$": {}}})
