"""JSON objects as role output: the prompt instruction, extraction and validation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
import regex  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from referencing import Registry

from gateway.core.bounded_regex import BoundedRegex

_INSTRUCTION = "Answer with one JSON object that matches this JSON Schema, and with nothing else:\n{schema}"
_MAX_VIOLATIONS = 3
_MAX_CANDIDATES = 20
_OPENING_BRACE = re.compile(r"\{")
_DECODER = json.JSONDecoder()
# Timeout of a regex search whose cost cannot be bounded in advance.
_PATTERN_TIMEOUT_SECONDS = 0.5
# Property names up to this length must be matched by `patternProperties` within bounds.
_PROPERTY_NAME_LENGTH = 64


class OutputSchema:
    """A validated JSON Schema of an object; `instruction` asks a model to follow it.

    Raises:
        ValueError: not a JSON Schema, or not one of an object; the message says which.
    """

    def __init__(self, schema: Any) -> None:
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise ValueError("a role answers with an object (type: object)")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"not a JSON Schema ({error.validator})") from error
        _check_schema(schema)
        self.schema: dict[str, Any] = schema
        self.instruction = _INSTRUCTION.format(schema=json.dumps(schema, ensure_ascii=False))
        # An empty registry: the library's default would fetch remote references.
        self._validator = _Validator(schema, registry=Registry())

    def extract(self, text: str) -> tuple[dict[str, Any] | None, str]:
        """Return the first valid object in `text`, or None and the schema violation."""
        violation = ""
        end = 0
        for brace in islice(_OPENING_BRACE.finditer(text), _MAX_CANDIDATES):
            if brace.start() < end:
                continue  # nested in an object that is not valid
            try:
                _, end = _DECODER.raw_decode(text, brace.start())
                # orjson is stricter: no NaN, no numbers out of range, no lone surrogates.
                value = orjson.loads(text[brace.start() : end])
            except (ValueError, RecursionError):
                violation = violation or "it is not valid JSON"
                continue
            violations = self._violations(value)
            if not violations:
                return value, ""
            violation = violation or violations
        return None, violation or "it contains no JSON object"

    def _violations(self, value: Any) -> str:
        violations = (
            f"{'.'.join(map(str, error.absolute_path)) or 'the object'} violates «{error.validator}»"
            for error in self._validator.iter_errors(value)
        )
        return "; ".join(islice(violations, _MAX_VIOLATIONS))


def _check_schema(schema: Any) -> None:
    """Check that references are local and that property name patterns are cheap.

    Raises:
        ValueError: one is not; the message says which.
    """
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        if not isinstance(node, dict):
            continue
        pending.extend(node.values())
        for keyword in ("$ref", "$dynamicRef"):
            reference = node.get(keyword, "#")
            if isinstance(reference, str) and not reference.startswith("#"):
                raise ValueError(f"{keyword} refers to another document")
        names = node.get("patternProperties")
        for pattern in names if isinstance(names, dict) else ():
            if _compile_bounded(pattern).search("a" * _PROPERTY_NAME_LENGTH) is None:
                raise ValueError("a pattern in patternProperties could take too long to match")


@lru_cache(maxsize=256)
def _compile_bounded(pattern: str) -> BoundedRegex:
    return BoundedRegex(pattern)


def _validate_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Validate `pattern` within bounds: model output could make `re` run for long."""
    if not isinstance(instance, str):
        return
    try:
        matches = _compile_bounded(pattern).search(instance)
        if matches is None:
            matches = regex.search(pattern, instance, timeout=_PATTERN_TIMEOUT_SECONDS) is not None
    except (ValueError, TimeoutError, regex.error):
        matches = False
    if not matches:
        yield ValidationError("the pattern does not match")


_Validator: Any = extend(Draft202012Validator, {"pattern": _validate_pattern})  # type: ignore[no-untyped-call]
