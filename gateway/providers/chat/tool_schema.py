"""A tool's parameters for vendors that refuse `anyOf`, `oneOf`, `allOf` and `$ref` at the top of a schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_JOINED = ("allOf", "anyOf", "oneOf")
_TOP = frozenset({*_JOINED, "$ref", "not", "enum", "const"})
# Variants may hold variants, and refer to themselves: so deep, and so many in all, they are joined.
_DEPTH = 8
_MOST = 256


def object_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as one object with the properties of all variants.

    What every variant requires stays required. A schema that is an object already is left as it is.
    """
    if _TOP.isdisjoint(parameters):
        return {**parameters, "type": "object"}
    return {**_flat(parameters, parameters, _DEPTH, Counter()), "type": "object"}


def _flat(
    schema: Mapping[str, Any], root: Mapping[str, Any], depth: int, joined_so_far: Counter[str]
) -> dict[str, Any]:
    joined_so_far["schemas"] += 1
    schema = _resolved(schema, root, depth)
    out = {name: value for name, value in schema.items() if name not in _TOP}
    properties = dict(_mapping(schema.get("properties")))
    required = dict.fromkeys(_names(schema.get("required")))
    for joined in _JOINED if depth else ():
        variants = [
            _flat(variant, root, depth - 1, joined_so_far)
            for variant in _list(schema.get(joined))[:_MOST]
            if isinstance(variant, Mapping) and joined_so_far["schemas"] < _MOST
        ]
        for name, options in _properties(variants).items():
            properties.setdefault(name, options[0] if len(options) == 1 else {"anyOf": options})
        each = [set(_names(variant.get("required"))) for variant in variants]
        if each:
            common = set.union(*each) if joined == "allOf" else set.intersection(*each)
            required |= dict.fromkeys(sorted(common))
    out["properties"] = properties
    if required:
        out["required"] = list(required)
    return out


def _properties(variants: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The different schemas that the variants have for each property."""
    found: dict[str, list[Any]] = {}
    for variant in variants:
        for name, schema in variant["properties"].items():
            options = found.setdefault(name, [])
            if schema not in options:
                options.append(schema)
    return found


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """The schema with the definition that it refers to; one from elsewhere is not looked for."""
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


def _names(value: Any) -> list[str]:
    return [name for name in _list(value) if isinstance(name, str)]
