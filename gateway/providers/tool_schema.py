"""Flattens tool parameters for vendors that reject combinators at the top level of a schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_COMBINATORS = ("allOf", "anyOf", "oneOf")
_TOP_LEVEL_KEYWORDS = frozenset({*_COMBINATORS, "$ref", "not", "enum", "const"})
# Variants may be nested and recursive; these limits end the merge.
_MAX_DEPTH = 8
_MAX_SCHEMAS = 256


def flatten_object_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as one object schema with the properties of all variants.

    A property that every variant requires stays required. An object schema is returned unchanged.
    """
    if _TOP_LEVEL_KEYWORDS.isdisjoint(parameters):
        return {**parameters, "type": "object"}
    return {**_flatten(parameters, parameters, _MAX_DEPTH, Counter()), "type": "object"}


def _flatten(
    schema: Mapping[str, Any], root: Mapping[str, Any], depth: int, counter: Counter[str]
) -> dict[str, Any]:
    counter["schemas"] += 1
    schema = _resolve_reference(schema, root, depth)
    out = {name: value for name, value in schema.items() if name not in _TOP_LEVEL_KEYWORDS}
    properties = dict(_mapping(schema.get("properties")))
    required = dict.fromkeys(_strings(schema.get("required")))
    for combinator in _COMBINATORS if depth else ():
        variants = [
            _flatten(variant, root, depth - 1, counter)
            for variant in _list(schema.get(combinator))[:_MAX_SCHEMAS]
            if isinstance(variant, Mapping) and counter["schemas"] < _MAX_SCHEMAS
        ]
        for name, options in _merge_properties(variants).items():
            properties.setdefault(name, options[0] if len(options) == 1 else {"anyOf": options})
        required_sets = [set(_strings(variant.get("required"))) for variant in variants]
        if required_sets:
            common = set.union(*required_sets) if combinator == "allOf" else set.intersection(*required_sets)
            required |= dict.fromkeys(sorted(common))
    out["properties"] = properties
    if required:
        out["required"] = list(required)
    return out


def _merge_properties(variants: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the distinct schemas of each property across the variants."""
    found: dict[str, list[Any]] = {}
    for variant in variants:
        for name, schema in variant["properties"].items():
            options = found.setdefault(name, [])
            if schema not in options:
                options.append(schema)
    return found


def _resolve_reference(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """Merge the schema with the definition its `$ref` points to.

    Remote references are ignored.
    """
    for _ in range(depth):
        ref = schema.get("$ref")
        if not isinstance(ref, str):
            break
        found: Any = root
        for name in ref.removeprefix("#/").split("/") if ref.startswith("#/") else ("",):
            found = _mapping(found).get(name.replace("~1", "/").replace("~0", "~"))
        schema = {**_mapping(found), **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _strings(value: Any) -> list[str]:
    return [name for name in _list(value) if isinstance(name, str)]
