"""What the OpenAPI page says beyond what FastAPI reads off the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from gateway.routers.dependencies import add_key_header_to_schema


def document(app: FastAPI) -> None:
    """Add to `app.openapi()` that every route for API keys also takes them as `X-API-Key`."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        return add_key_header_to_schema(plain())

    app.openapi = complete  # type: ignore[method-assign]


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `requestBody` of a route that reads its body itself; nested definitions are put in line."""
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    return {"required": True, "content": {"application/json": {"schema": _inline(schema, definitions)}}}


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    """`node` with every `$ref` replaced; the bodies' models are not recursive."""
    if isinstance(node, dict):
        if "$ref" in node:
            return _inline(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inline(value, definitions) for key, value in node.items()}
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    return node
