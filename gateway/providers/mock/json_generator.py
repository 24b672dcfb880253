"""Generates readable JSON values for a JSON Schema, deterministic for a schema and seed."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.providers.mock.pattern_generator import PatternGenerator, SchemaTooLarge, StepBudget
from gateway.providers.mock.sample_text import COMMON_VALUES, FORMAT_EXAMPLES, sample_text

# Length of a list that the schema leaves open, and upper limits whatever the schema asks for.
_DEFAULT_ITEMS = 3
_MAX_ITEMS = 1000
_MAX_STRING_CHARACTERS = 100_000
# Boolean fields that should be false, and number fields that should be high, in a plausible example.
_FALSE_FIELDS = re.compile(r"(?i)error|fail|reject|block|missing|spam|broken|invalid|deleted|disabled")
_HIGH_FIELDS = re.compile(r"(?i)score|rating|grade|confidence|quality")
# Below this depth only required fields are generated, which ends recursive schemas.
_OPTIONAL_DEPTH = 4
_MAX_DEPTH = 24
# Totals for one answer: nested lists grow exponentially.
_MAX_PARTS = 5_000
_MAX_TOTAL_CHARACTERS = 300_000
# Steps of regular expressions: a few hundred milliseconds at worst.
_MAX_REGEX_STEPS = 10_000_000


class GenerationBudget:
    """Limits of the total cost of all values of one answer."""

    def __init__(self) -> None:
        self.parts = StepBudget(_MAX_PARTS)
        self.text = StepBudget(_MAX_TOTAL_CHARACTERS)
        self.steps = StepBudget(_MAX_REGEX_STEPS)


def generate_value(schema: Mapping[str, Any], seed: int, budget: GenerationBudget | None = None) -> Any:
    """Generate a value for `schema`; the keywords `not` and `if` are ignored.

    Several values of one answer share a `budget`.

    Raises:
        ValueError: the schema is too large or not a schema; the message says which.
    """
    try:
        rng = random.Random(seed)  # noqa: S311 - no secret
        return _Generator(schema, rng, budget or GenerationBudget()).value(schema, 0, "")
    except SchemaTooLarge:
        raise
    except (TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, ValueError) as error:
        # Any keyword may have a value of any type; the caller has to correct the schema.
        raise ValueError("it cannot be read as a JSON Schema") from error


class _Generator:
    def __init__(self, root: Mapping[str, Any], rng: random.Random, budget: GenerationBudget) -> None:
        self._root = root
        self._rng = rng
        self._text_offset = rng.randrange(1000)
        self._parts = budget.parts
        self._text = budget.text
        self._steps = budget.steps
        self._sizes: dict[int, int] = {}
        self._patterns: dict[str, PatternGenerator | None] = {}

    def value(self, schema: Any, depth: int, name: str, index: int = 0) -> Any:
        """Generate a value for the field `name`, or for item `index` of the list of that name."""
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return None
        schema = self._resolve(schema, depth)
        if "const" in schema:
            return self._copy(schema["const"])
        if schema.get("enum"):
            self._text.spend(len(schema["enum"]))
            return self._copy(self._rng.choice(list(schema["enum"])))
        match self._type(schema):
            case "object":
                return self._object(schema, depth, index)
            case "array":
                return self._array(schema, depth, name, index)
            case "string":
                return self._string(schema, name, index)
            case "integer":
                return self._number(schema, 1, name)
            case "number":
                return self._number(schema, schema.get("multipleOf") or 0.5, name)
            case "boolean":
                return not _FALSE_FIELDS.search(name)
        return None

    def _copy(self, value: Any) -> Any:
        """Return a value of the schema, charged to the budget because it may be large and repeated."""
        size = self._sizes.get(id(value))
        if size is None:
            size = self._sizes[id(value)] = len(orjson.dumps(value))
        self._text.spend(size)
        return value

    def _resolve(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Merge the schema with its references and combinators."""
        for _ in range(_MAX_DEPTH):
            self._parts.spend()
            self._text.spend(len(schema))
            if "$ref" in schema:
                others = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._resolve_pointer(schema["$ref"]), **others}
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                others = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
                self._text.spend(len(choices))
                # At this depth the simplest choice ends a recursive schema.
                simple = [c for c in choices if isinstance(c, Mapping) and c.get("type") == "null"]
                choice = simple[0] if simple and depth > _OPTIONAL_DEPTH else choices[0]
                schema = {**choice, **others}
            elif "allOf" in schema:
                merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    merged = self._merge(merged, self._resolve(part, depth))
                schema = merged
            else:
                break
        return schema

    def _resolve_pointer(self, reference: str) -> Mapping[str, Any]:
        self._text.spend(len(reference))
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

    def _object(self, schema: Mapping[str, Any], depth: int, index: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        self._text.spend(len(required) + len(properties) + sum(map(len, (*required, *properties))))
        names = (
            required
            if depth > _OPTIONAL_DEPTH
            else [
                *properties,
                *(required_name for required_name in required if required_name not in properties),
            ]
        )
        return {
            name: self.value(properties.get(name, {"type": "string"}), depth + 1, name, index)
            for name in names
        }

    def _array(self, schema: Mapping[str, Any], depth: int, name: str, index: int) -> list[Any]:
        prefix = schema.get("prefixItems") or ()
        minimum = min(int(schema.get("minItems") or 0), _MAX_ITEMS)
        count = max(minimum, len(prefix), 0 if depth > _OPTIONAL_DEPTH else _DEFAULT_ITEMS)
        count = max(minimum, min(count, int(schema.get("maxItems", count))))
        items = schema.get("items", {"type": "string"})
        # Nested lists start with different texts.
        return [
            self.value(prefix[i] if i < len(prefix) else items, depth + 1, name, index + i)
            for i in range(count)
        ]

    def _string(self, schema: Mapping[str, Any], name: str, index: int) -> str:
        format_name = schema.get("format")
        if isinstance(format_name, str) and (formatted := FORMAT_EXAMPLES.get(format_name)):
            return formatted
        minimum = min(int(schema.get("minLength") or 0), _MAX_STRING_CHARACTERS)
        maximum = int(schema["maxLength"]) if "maxLength" in schema else None
        self._text.spend(minimum)
        text = sample_text(name, index, self._text_offset, minimum, maximum)
        pattern = self._pattern(schema.get("pattern"))
        if pattern is None or pattern.matches(text, self._steps):
            return text
        # Prefer a common value, else generate one for the pattern.
        candidates = [
            value
            for value in COMMON_VALUES
            if len(value) >= minimum
            and (maximum is None or len(value) <= maximum)
            and pattern.matches(value, self._steps)
        ]
        if candidates:
            return candidates[index % len(candidates)]
        generated = pattern.generate(self._rng, minimum, maximum, self._text, self._steps)
        return text if generated is None else generated

    def _pattern(self, pattern: Any) -> PatternGenerator | None:
        """Return the parsed pattern, None if it is missing or invalid."""
        if not isinstance(pattern, str):
            return None
        if pattern not in self._patterns:
            try:
                self._patterns[pattern] = PatternGenerator(pattern)
            except ValueError:
                self._patterns[pattern] = None
        return self._patterns[pattern]

    def _number(self, schema: Mapping[str, Any], step: float, name: str) -> float:
        """Generate a multiple of `multipleOf`, else of `step`, within the bounds."""
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
        if _HIGH_FIELDS.search(name):
            low = max(low, low + 0.75 * (high - low))  # high, but not always the maximum
        first, last = math.ceil(low / step), math.floor(high / step)
        return self._rng.randint(first, last) * step if first <= last else low

    def _merge(self, left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
        merged = {**left, **right}
        if "properties" in left and "properties" in right:
            merged["properties"] = {**left["properties"], **right["properties"]}
            self._text.spend(len(merged["properties"]))
        if "required" in left and "required" in right:
            merged["required"] = [*left["required"], *right["required"]]
            self._text.spend(len(merged["required"]))
        return merged
