"""Generates a JSON value that fits a JSON Schema and reads well, the same for the same schema and seed."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.providers.chat.mock_pattern import Budget, Pattern, TooMuch
from gateway.providers.chat.mock_text import FORMATS, PLAIN, text_for

# Of a list, where the schema leaves it open; and what no schema gets more of.
_ITEMS = 3
_MOST_ITEMS = 1000
_MOST_CHARACTERS = 100_000
# Fields that are better false; fields that are better high.
_NEGATIVE = re.compile(r"(?i)error|fail|reject|block|missing|spam|broken|invalid|deleted|disabled")
_GRADE = re.compile(r"(?i)score|rating|grade|confidence|quality")
# Below this depth only what is required is generated, so that a schema that contains itself ends.
_SHALLOW = 4
_DEEPEST = 24
# Of one value, all parts together: a list of lists of lists grows by powers.
_MOST_PARTS = 5_000
_MOST_TEXT = 300_000
# Steps of regular expressions: some hundred milliseconds at worst.
_MOST_STEPS = 10_000_000


class Allowance:
    """What the values of one answer may cost, all together."""

    def __init__(self) -> None:
        self.parts = Budget(_MOST_PARTS)
        self.text = Budget(_MOST_TEXT)
        self.steps = Budget(_MOST_STEPS)


def fitting(schema: Mapping[str, Any], seed: int, allowance: Allowance | None = None) -> Any:
    """A value for `schema`; keywords that say only what is wrong (`not`, `if`) are not looked at.

    Several values of one answer share an `allowance`.

    Raises:
        ValueError: it asks for too much, or is no schema; the message says which.
    """
    try:
        rng = random.Random(seed)  # noqa: S311 - no secret
        return _Generator(schema, rng, allowance or Allowance()).value(schema, 0, "")
    except TooMuch:
        raise
    except (TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, ValueError) as error:
        # Whoever wrote the schema is to mend it: every keyword may hold anything.
        raise ValueError("it cannot be read as a JSON Schema") from error


class _Generator:
    def __init__(self, root: Mapping[str, Any], rng: random.Random, allowance: Allowance) -> None:
        self._root = root
        self._rng = rng
        self._start = rng.randrange(1000)
        self._parts = allowance.parts
        self._text = allowance.text
        self._steps = allowance.steps
        self._sizes: dict[int, int] = {}
        self._patterns: dict[str, Pattern | None] = {}

    def value(self, schema: Any, depth: int, name: str, nth: int = 0) -> Any:
        """A value for the field `name`, or for the `nth` entry of the list of that name."""
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return None
        schema = self._resolve(schema, depth)
        if "const" in schema:
            return self._copied(schema["const"])
        if schema.get("enum"):
            self._text.take(len(schema["enum"]))
            return self._copied(self._rng.choice(list(schema["enum"])))
        match self._type(schema):
            case "object":
                return self._object(schema, depth, nth)
            case "array":
                return self._array(schema, depth, name, nth)
            case "string":
                return self._string(schema, name, nth)
            case "integer":
                return self._number(schema, 1, name)
            case "number":
                return self._number(schema, schema.get("multipleOf") or 0.5, name)
            case "boolean":
                return not _NEGATIVE.search(name)
        return None

    def _copied(self, value: Any) -> Any:
        """A value out of the schema, which may be large and asked for many times."""
        size = self._sizes.get(id(value))
        if size is None:
            size = self._sizes[id(value)] = len(orjson.dumps(value))
        self._text.take(size)
        return value

    def _resolve(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """The schema with its references and combinations taken together into one."""
        for _ in range(_DEEPEST):
            self._parts.take()
            self._text.take(len(schema))
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._look_up(schema["$ref"]), **rest}
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                self._text.take(len(choices))
                # Deep down the simplest choice ends a schema that contains itself.
                simple = [c for c in choices if isinstance(c, Mapping) and c.get("type") == "null"]
                choice = simple[0] if simple and depth > _SHALLOW else choices[0]
                schema = {**choice, **rest}
            elif "allOf" in schema:
                merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    merged = self._merge(merged, self._resolve(part, depth))
                schema = merged
            else:
                break
        return schema

    def _look_up(self, reference: str) -> Mapping[str, Any]:
        self._text.take(len(reference))
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
        return found if isinstance(found, Mapping) else {}

    @staticmethod
    def _type(schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((item for item in kind if item != "null"), "null")
        if kind:
            return kind if isinstance(kind, str) else "string"
        if "properties" in schema or "required" in schema:
            return "object"
        return "array" if "items" in schema else "string"

    def _object(self, schema: Mapping[str, Any], depth: int, nth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        self._text.take(len(required) + len(properties) + sum(map(len, (*required, *properties))))
        names = required if depth > _SHALLOW else [*properties, *(n for n in required if n not in properties)]
        return {
            name: self.value(properties.get(name, {"type": "string"}), depth + 1, name, nth) for name in names
        }

    def _array(self, schema: Mapping[str, Any], depth: int, name: str, nth: int) -> list[Any]:
        prefix = schema.get("prefixItems") or ()
        least = min(int(schema.get("minItems") or 0), _MOST_ITEMS)
        wanted = max(least, len(prefix), 0 if depth > _SHALLOW else _ITEMS)
        wanted = max(least, min(wanted, int(schema.get("maxItems", wanted))))
        items = schema.get("items", {"type": "string"})
        # Lists within a list begin with other texts each.
        return [
            self.value(prefix[i] if i < len(prefix) else items, depth + 1, name, nth + i)
            for i in range(wanted)
        ]

    def _string(self, schema: Mapping[str, Any], name: str, nth: int) -> str:
        form = schema.get("format")
        if isinstance(form, str) and (formatted := FORMATS.get(form)):
            return formatted
        least = min(int(schema.get("minLength") or 0), _MOST_CHARACTERS)
        most = int(schema["maxLength"]) if "maxLength" in schema else None
        self._text.take(least)
        text = text_for(name, nth, self._start, least, most)
        pattern = self._pattern(schema.get("pattern"))
        if pattern is None or pattern.passes(text, self._steps):
            return text
        # One that people know, else one made for the pattern.
        known = [
            plain
            for plain in PLAIN
            if len(plain) >= least
            and (most is None or len(plain) <= most)
            and pattern.passes(plain, self._steps)
        ]
        if known:
            return known[nth % len(known)]
        made = pattern.make(self._rng, least, most, self._text, self._steps)
        return text if made is None else made

    def _pattern(self, given: Any) -> Pattern | None:
        """None where there is none, or none that can be read."""
        if not isinstance(given, str):
            return None
        if given not in self._patterns:
            try:
                self._patterns[given] = Pattern(given)
            except ValueError:
                self._patterns[given] = None
        return self._patterns[given]

    def _number(self, schema: Mapping[str, Any], step: float, name: str) -> float:
        """A multiple of `step` (of `multipleOf` for integers too) within the bounds."""
        step = schema.get("multipleOf") or step
        low = schema.get("minimum", -math.inf)
        high = schema.get("maximum", math.inf)
        if isinstance(schema.get("exclusiveMinimum"), int | float):
            low = max(low, schema["exclusiveMinimum"] + step)
        if isinstance(schema.get("exclusiveMaximum"), int | float):
            high = min(high, schema["exclusiveMaximum"] - step)
        if low == -math.inf:
            low = min(0, high - 100 * step) if high != math.inf else 0
        high = min(high, low + 100 * step)
        if _GRADE.search(name):
            low = max(low, low + 0.75 * (high - low))  # a good one, but not the best
        first, last = math.ceil(low / step), math.floor(high / step)
        return self._rng.randint(first, last) * step if first <= last else low

    def _merge(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
        merged = {**left, **right}
        if "properties" in left and "properties" in right:
            merged["properties"] = {**left["properties"], **right["properties"]}
            self._text.take(len(merged["properties"]))
        if "required" in left and "required" in right:
            merged["required"] = [*left["required"], *right["required"]]
            self._text.take(len(merged["required"]))
        return merged
