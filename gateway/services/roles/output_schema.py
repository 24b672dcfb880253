"""The object that a role answers with: asked for in words, found in what a model said, held to its schema."""

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

_INSTRUCTION = "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
_MAX_VIOLATIONS = 3
_MAX_CANDIDATES = 20
_OPENING_BRACE = re.compile(r"\{")
_DECODER = json.JSONDecoder()
# Of a search by a pattern whose cost cannot be bounded beforehand.
_PATTERN_TIMEOUT_SECONDS = 0.5
# A name of a property that `patternProperties` has to judge within bounds.
_PROPERTY_NAME_LENGTH = 64


class OutputSchema:
    """A JSON Schema of an object, ready for use; `request` is the sentence that asks a model for it.

    Raises:
        ValueError: it is no JSON Schema, or not one of an object; the message says which.
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
        # An empty registry: the library's own would fetch what a reference names.
        self._validator = _Validator(schema, registry=Registry())

    def extract(self, text: str) -> tuple[dict[str, Any] | None, str]:
        """The first object in `text` that fits, else None and what is wrong, in the schema's words."""
        violation = ""
        end = 0
        for brace in islice(_OPENING_BRACE.finditer(text), _MAX_CANDIDATES):
            if brace.start() < end:
                continue  # a part of an object that did not fit
            try:
                _, end = _DECODER.raw_decode(text, brace.start())
                # The stricter one: no NaN, no numbers out of range, no lone surrogates.
                value = orjson.loads(text[brace.start() : end])
            except (ValueError, RecursionError):
                violation = violation or "it is not valid JSON"
                continue
            violations = self._violations(value)
            if not violations:
                return value, ""
            violation = violation or violations
        return None, violation or "it holds no JSON object"

    def _violations(self, value: Any) -> str:
        violations = (
            f"{'.'.join(map(str, error.absolute_path)) or 'the object'} breaks «{error.validator}»"
            for error in self._validator.iter_errors(value)
        )
        return "; ".join(islice(violations, _MAX_VIOLATIONS))


def _check_schema(schema: Any) -> None:
    """References stay inside the document, and patterns of names are cheap.

    Raises:
        ValueError: one does not; the message says which.
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
                raise ValueError(f"{keyword} names another document")
        names = node.get("patternProperties")
        for pattern in names if isinstance(names, dict) else ():
            if _compile_bounded(pattern).search("a" * _PROPERTY_NAME_LENGTH) is None:
                raise ValueError("a pattern in patternProperties could take very long")


@lru_cache(maxsize=256)
def _compile_bounded(pattern: str) -> BoundedRegex:
    return BoundedRegex(pattern)


def _validate_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The keyword `pattern`, within bounds: a model's words decide how long `re` would search."""
    if not isinstance(instance, str):
        return
    try:
        matches = _compile_bounded(pattern).search(instance)
        if matches is None:
            matches = regex.search(pattern, instance, timeout=_PATTERN_TIMEOUT_SECONDS) is not None
    except (ValueError, TimeoutError, regex.error):
        matches = False
    if not matches:
        yield ValidationError("the pattern is not found")


_Validator: Any = extend(Draft202012Validator, {"pattern": _validate_pattern})  # type: ignore[no-untyped-call]
