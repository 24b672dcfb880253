"""Additions to the OpenAPI document that FastAPI cannot derive from the routes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.routers.dependencies import document_api_key_header
from gateway.schemas.base import ErrorBody

OPENAPI_PATH: Final = "/openapi.json"
_ERROR_REF = {"$ref": "#/components/schemas/ErrorBody"}
_DESCRIPTIONS = {
    "401": "The credential is missing or not valid",
    "403": "The credential does not permit this",
    "404": "It does not exist, or belongs to another account",
    "413": "The body is too large",
    "415": "The body is not JSON (or not a form, where the route takes one)",
    "422": "A field is not valid; `param` names it",
    "429": "Too many requests; `retry-after` says when to retry",
    "503": "The gateway cannot serve this at the moment; `retry-after` says when to retry",
}


# `openapi_extra` of routes that use `routers.idempotent`.
IDEMPOTENCY_KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key and body within 24 hours return the same response, charged once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }
    ]
}


def install_openapi(app: FastAPI) -> None:
    """Extend `app.openapi()` with `X-API-Key` and the routes' implicit errors."""
    plain = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            add_common_errors(document_api_key_header(plain()))
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]
    app.add_route(OPENAPI_PATH, _OpenApiDocument(app), methods=["GET"], include_in_schema=False)  # type: ignore[arg-type]


class _OpenApiDocument:
    """The document as JSON, encoded once.

    Encoding takes longer than a turn, and the route is public.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._encoded: bytes | None = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._building:
            if self._encoded is None:
                # Building takes half a second; other requests run meanwhile.
                self._encoded = orjson.dumps(await asyncio.to_thread(self._app.openapi))
        body, prefix = self._encoded, scope.get("root_path", "")
        if prefix:
            body = b'{"servers":' + orjson.dumps([{"url": prefix}]) + b"," + body[1:]
        await Response(body, media_type="application/json")(scope, receive, send)


def add_common_errors(schema: dict[str, Any]) -> None:
    """Add to every operation the errors that its credentials, parameters and body imply.

    They have the shape of `ErrorBody`; FastAPI would document its own shape, which is never sent.
    """
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    error = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(error.pop("$defs"))
    schemas["ErrorBody"] = error
    for operation in operations(schema):
        responses = operation["responses"]
        for status in _statuses(operation):
            if status not in responses or _is_fastapi_default(responses[status]):
                content = {"application/json": {"schema": _ERROR_REF}}
                responses[status] = {"description": _DESCRIPTIONS[status], "content": content}
        if _is_fastapi_default(responses.get("422", {})):  # a malformed id in a path is a 404
            del responses["422"]
        operation["responses"] = dict(sorted(responses.items()))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every operation of an OpenAPI document."""
    for path in schema.get("paths", {}).values():
        for method, operation in path.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield operation


def _statuses(operation: dict[str, Any]) -> Iterator[str]:
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if operation.get("security"):
        yield from ("401", "403", "429")
    if "requestBody" in operation:
        yield from ("413", "415", "422", "429")
    if "path" in places:
        yield "404"
    if places - {"path"}:
        yield "422"
    yield "503"


def _is_fastapi_default(response: dict[str, Any]) -> bool:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).endswith("/HTTPValidationError")


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `requestBody` of a route that parses its own body, fully inlined."""
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    return {"required": True, "content": {"application/json": {"schema": _inline(schema, definitions)}}}


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    """Replace every `$ref` in `node`; the body models are not recursive."""
    if isinstance(node, dict):
        if "$ref" in node:
            return _inline(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inline(value, definitions) for key, value in node.items()}
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    return node
