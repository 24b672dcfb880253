"""Converts a JSON Schema to the subset that Anthropic's structured outputs accept."""

from __future__ import annotations

from typing import Any

_COPIED_KEYWORDS = ("title", "description", "$ref", "const", "enum")
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)


def output_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` with closed objects and without unsupported keywords.

    The unsupported keywords are appended to the description, for the model to read.
    """
    out: dict[str, Any] = {name: schema[name] for name in _COPIED_KEYWORDS if name in schema}
    rest = {
        name: value
        for name, value in schema.items()
        if name not in (*_COPIED_KEYWORDS, "$defs", "definitions")
    }
    for name in ("$defs", "definitions"):
        if isinstance(schema.get(name), dict):
            out[name] = {key: _convert(value) for key, value in schema[name].items()}
    if "$ref" in out:
        return {name: out[name] for name in ("$ref", "$defs", "definitions") if name in out}
    if "type" in rest and "enum" not in out and "const" not in out:
        out["type"] = rest["type"]
    rest.pop("type", None)
    for name in ("anyOf", "oneOf", "allOf"):
        variants = rest.pop(name, None)
        if isinstance(variants, list):
            out["anyOf" if name == "oneOf" else name] = [_convert(variant) for variant in variants]
    if out.get("type") == "object" or "properties" in rest:
        rest.pop("additionalProperties", None)
        properties = rest.pop("properties", None) or {}
        out["properties"] = {name: _convert(value) for name, value in properties.items()}
        out["additionalProperties"] = False
        if "required" in rest:
            out["required"] = rest.pop("required")
    if "items" in rest:
        out["items"] = _convert(rest.pop("items"))
    if rest.get("minItems") in (0, 1):
        out["minItems"] = rest.pop("minItems")
    if rest.get("format") in _FORMATS:
        out["format"] = rest.pop("format")
    for name in ("$schema", "$id", "default", "examples"):
        rest.pop(name, None)
    if rest:
        limits = "{" + ", ".join(f"{name}: {value}" for name, value in rest.items()) + "}"
        out["description"] = f"{out['description']}\n\n{limits}" if "description" in out else limits
    return out


def _convert(schema: Any) -> Any:
    return output_schema(schema) if isinstance(schema, dict) else schema
