"""The object that a role answers with: asked for in words, found in what a model said, held to its schema."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

_ASK = "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
_MOST_COMPLAINTS = 3
_MOST_TRIES = 20
_BRACE = re.compile(r"\{")
_DECODER = json.JSONDecoder()


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
        self.schema: dict[str, Any] = schema
        self.request = _ASK.format(schema=json.dumps(schema, ensure_ascii=False))
        self._validator = Draft202012Validator(schema)

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
