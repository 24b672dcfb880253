"""Values that the mock generates for a schema: valid, readable, and deterministic."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.providers.mock.json_generator import generate_value
from tests.support.paths import PROJECT

PROMPTS = sorted((PROJECT / "prompts").glob("*.json"))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", PROMPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_shipped_schemas_are_filled_with_readable_text(path: Path, seed: int) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    value = generate_value(schema, seed)
    Draft202012Validator(schema).validate(value)
    assert generate_value(schema, seed) == value
    for text in strings(value):
        assert text == text.strip()
        assert not re.search(r"(\b\w+\b)( \1){2}", text)
        assert text.isascii()


def test_list_items_differ() -> None:
    schema = json.loads((PROMPTS[0].parent / "copywriter.json").read_text(encoding="utf-8"))
    sections = generate_value(schema, 5)["sections"]
    for field in ("id", "title", "body"):
        assert len({section[field] for section in sections}) == len(sections) == 3


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z]{2,20}$",
        r"^[A-Z]{3}-\d{4}$",
        r"^#[0-9a-fA-F]{6}$",
        r"^(cat|dog)s?$",
        r"^\S{40}$",
        r"^[^@ ]+@[^@ ]+\.[a-z]+$",
        r"^(?:v\d+\.)+\w*$",
        r"^\d{4}-\d{2}-\d{2}$",
        r"[xyz]{3}",
        r"^$|^none$",
        r"^(?!a)[a-c]{2}$",
    ],
)
def test_generated_text_matches_the_pattern(pattern: str) -> None:
    text = generate_value({"type": "string", "pattern": pattern}, 3)
    assert re.search(pattern, text)
    assert generate_value({"type": "string", "pattern": pattern}, 3) == text


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "(" * 500,
        r"(?=b)a",
        r"(a+)+\1{60}b",
        r"^(a|aa)+$x",
        ".*" * 9 + "=",
        "(x{1,20}){1,20}y" * 3,
        "a{99999}",
        r"^(?:.?){60}!$",
        r"^(?:a?){60}a{60}$",
        r"^(?:a|b|ab)*!$",
        r"^(?:(?=a)){100000000}b$",
        r"(?i)[\u0000-\U0010ffff]" * 40 + "!",
    ],
)
def test_a_hostile_pattern_is_neither_a_failure_nor_a_delay(pattern: str) -> None:
    assert isinstance(generate_value({"type": "string", "pattern": pattern}, 3), str)


@pytest.mark.parametrize(("least", "most"), [(0, 0), (1, 1), (5, 9), (50, 50), (300, 400), (2000, 2000)])
@pytest.mark.parametrize("name", ["title", "anything", "id"])
def test_length_limits_are_respected(name: str, least: int, most: int) -> None:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "minLength": least, "maxLength": most}},
    }
    assert least <= len(generate_value(schema, 1)[name]) <= most


def test_large_minimums_are_capped() -> None:
    assert len(generate_value({"type": "string", "minLength": 10**12}, 1)) < 10**6
    assert len(generate_value({"type": "array", "items": {"type": "integer"}, "minItems": 10**12}, 1)) < 10**4


def test_field_names_and_formats_select_the_text() -> None:
    names = ("email", "brandName", "call_to_action", "url", "colour", "reply-to")
    schema = {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in names},
            "when": {"type": "string", "format": "date-time"},
            "approved": {"type": "boolean"},
            "has_errors": {"type": "boolean"},
            "score": {"type": "number", "minimum": 0, "maximum": 10},
        },
    }
    value = generate_value(schema, 1)
    assert "@" in value["email"]
    assert value["url"].startswith("https://")
    assert value["when"].endswith("Z")
    assert (value["approved"], value["has_errors"]) == (True, False)
    assert 7 <= value["score"] <= 10


def _tree(levels: int) -> dict[str, Any]:
    """Return a schema in which each level contains the next one twice."""
    parts = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**parts, f"l{levels}": {"type": "string"}}}


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
        {
            "type": "array",
            "items": {"type": "array", "items": {"type": "string"}, "minItems": 900},
            "minItems": 900,
        },
        {"type": "array", "items": {"type": "string", "minLength": 100_000}, "minItems": 1000},
        {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 30, **{f"x{n}": n for n in range(20_000)}},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        _tree(40),
        {"type": "string", "pattern": "^(?:(?:){10000}){10000}$"},
        {"type": "array", "items": {"$ref": "#/" + "a/" * 300_000}, "minItems": 100},
        {"type": "array", "items": {"const": "x" * 100_000}, "minItems": 1000},
        {"type": "array", "items": {"enum": [0] * 100_000}, "minItems": 1000},
        {"type": "array", "items": {"anyOf": [{"type": "null"}] * 100_000}, "minItems": 1000},
        {
            "type": "array",
            "items": {"type": "object", "properties": {"n" * 100_000: {"type": "null"}}},
            "minItems": 1000,
        },
        {"allOf": [{"properties": {f"p{n}": {"type": "null"}}} for n in range(4_000)]},
    ],
    ids=[
        *("itself", "lists", "texts", "pattern", "keywords", "allOf", "tree", "empty", "reference", "const"),
        *("enum", "anyOf", "names", "merged"),
    ],
)
def test_an_oversized_schema_is_rejected_quickly(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"more than the mock's limits|cannot be read"):
        generate_value(schema, 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": "many"},
        {"type": "number", "minimum": "low"},
        {"type": "number", "multipleOf": [1]},
        {"properties": 7, "required": [1]},
        {"enum": 5},
        {"anyOf": [7]},
        {"allOf": 3},
        {"$ref": "#/properties/a/b", "properties": {"a": 1}},
        {"type": "integer", "minimum": 1e308, "multipleOf": 1e-308},
    ],
)
def test_an_invalid_schema_is_rejected(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be read as a JSON Schema"):
        generate_value(schema, 1)


@pytest.mark.timeout(20)
def test_many_hostile_patterns_cost_no_more_than_one() -> None:
    fields = {f"f{n}": {"type": "string", "pattern": f"^(?:[a-z]+x?){{1,3}}{n}$"} for n in range(2_000)}
    with_kinds = {"type": "object", "properties": fields}

    started = time.thread_time()
    assert set(generate_value(with_kinds, 1)) == set(fields)
    # It would take minutes if each pattern had its own budget.
    assert time.thread_time() - started < 10
