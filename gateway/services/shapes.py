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

from gateway.core.bounded_pattern import BoundedPattern

_ASK = "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
_MOST_COMPLAINTS = 3
_MOST_TRIES = 20
_BRACE = re.compile(r"\{")
_DECODER = json.JSONDecoder()
# Of a search by a pattern whose cost cannot be bounded beforehand.
_PATTERN_SECONDS = 0.5
# A name of a property that `patternProperties` has to judge within bounds.
_NAME_CHARACTERS = 64


class Shape:
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
        _check_references(schema)
        self.schema: dict[str, Any] = schema
        self.request = _ASK.format(schema=json.dumps(schema, ensure_ascii=False))
        # An empty registry: the library's own would fetch what a reference names.
        self._validator = _Validator(schema, registry=Registry())

    def read(self, text: str) -> tuple[dict[str, Any] | None, str]:
        """The first object in `text` that fits, else None and what is wrong, in the schema's words."""
        complaint = ""
        end = 0
        for brace in islice(_BRACE.finditer(text), _MOST_TRIES):
            if brace.start() < end:
                continue  # a part of an object that did not fit
            try:
                _, end = _DECODER.raw_decode(text, brace.start())
                # The stricter one: no NaN, no numbers out of range, no lone surrogates.
                value = orjson.loads(text[brace.start() : end])
            except (ValueError, RecursionError):
                complaint = complaint or "it is not valid JSON"
                continue
            found = self._complaint(value)
            if not found:
                return value, ""
            complaint = complaint or found
        return None, complaint or "it holds no JSON object"

    def _complaint(self, value: Any) -> str:
        complaints = (
            f"{'.'.join(map(str, error.absolute_path)) or 'the object'} breaks «{error.validator}»"
            for error in self._validator.iter_errors(value)
        )
        return "; ".join(islice(complaints, _MOST_COMPLAINTS))


def _check_references(schema: Any) -> None:
    """References stay inside the document, and patterns of names are cheap.

    Raises:
        ValueError: one does not; the message says which.
    """
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        if not isinstance(part, dict):
            continue
        waiting.extend(part.values())
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword, "#")
            if isinstance(reference, str) and not reference.startswith("#"):
                raise ValueError(f"{keyword} names another document")
        names = part.get("patternProperties")
        for pattern in names if isinstance(names, dict) else ():
            if _bounded(pattern).search("a" * _NAME_CHARACTERS) is None:
                raise ValueError("a pattern in patternProperties could take very long")


@lru_cache(maxsize=256)
def _bounded(pattern: str) -> BoundedPattern:
    return BoundedPattern(pattern)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The keyword `pattern`, within bounds: a model's words decide how long `re` would search."""
    if not isinstance(instance, str):
        return
    try:
        found = _bounded(pattern).search(instance)
        if found is None:
            found = regex.search(pattern, instance, timeout=_PATTERN_SECONDS) is not None
    except (ValueError, TimeoutError, regex.error):
        found = False
    if not found:
        yield ValidationError("the pattern is not found")


_Validator: Any = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
