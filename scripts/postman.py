"""Generate docs/clients/postman_collection.json from the OpenAPI page.

`--check` verifies that the file is up to date. A collection of format 2.1: a folder per tag, a request per
operation with the smallest valid body. The variables are `baseUrl`, `apiKey` and `accessToken`.
"""

# ruff: noqa: T201  this script prints its result
from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from gateway.routers import include_all
from gateway.routers.dependencies import API_KEY_SCHEME
from gateway.routers.openapi import install_openapi

TARGET = Path(__file__).resolve().parent.parent / "docs" / "clients" / "postman_collection.json"
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_FORM = "application/x-www-form-urlencoded"
# Sample values by field name, so that a request can be sent without changes.
_SAMPLES: dict[str, Any] = {
    "email": "ada@example.com",
    "username": "ada@example.com",
    "password": "correct horse battery staple",
    "current_password": "correct horse battery staple",
    "new_password": "sixteen grey herons on a pond",
    "name": "Ada",
    "message": "Say hello.",
    "prompt": "A lighthouse at dusk",
    "payload": "A teapot that keeps its temperature",
    "role": "user",
    "content": "Say hello.",
    "model": "auto",
    "input": "Say hello.",
}
# Body fields of single operations that need other samples.
_BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/chat/completions": {"messages": [{"role": "user", "content": "Say hello."}]},
    "POST /v1/embeddings": {"model": "wordllama"},
    "POST /v1/images/generations": {"model": "mock-image"},
    "POST /api/v1/llm/generate": {"role": "brand"},
    "POST /api/user/api-keys": {"name": "my program"},
    "PATCH /api/conversations/{conversation_id}": {"title": "A better title"},
    "PATCH /api/admin/users/{user_id}": {"tier": "pro"},
    "PUT /api/user/me": {"name": "Ada L."},
}


def openapi() -> dict[str, Any]:
    """Build the OpenAPI page without a running gateway."""
    app = FastAPI(title="LLM Gateway")
    include_all(app)
    install_openapi(app)
    return app.openapi()


def collection(page: dict[str, Any]) -> dict[str, Any]:
    """Build the collection in the order of the page."""
    folders: dict[str, list[dict[str, Any]]] = {}
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            [tag, *_] = operation.get("tags") or ["health"]
            folders.setdefault(tag, []).append(_item(page, path, method, operation))
    return {
        "info": {
            "name": "LLM Gateway",
            "description": "Generated from the OpenAPI page by scripts/postman.py.",
            "schema": _SCHEMA,
        },
        "variable": [
            {"key": "baseUrl", "value": "http://127.0.0.1:8000"},
            {"key": "apiKey", "value": ""},
            {"key": "accessToken", "value": ""},
        ],
        "item": [{"name": name, "item": items} for name, items in folders.items()],
    }


def _item(page: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": method.upper(),
        "auth": _auth(operation),
        "header": [],
        "url": _url(path, operation),
    }
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = _sample(page, content["application/json"]["schema"]) or {}
        if isinstance(body, dict):
            body |= _BODIES.get(f"{method.upper()} {path}", {})
        request["header"].append({"key": "Content-Type", "value": "application/json"})
        request["body"] = {
            "mode": "raw",
            "raw": json.dumps(body, indent=2, ensure_ascii=False),
            "options": {"raw": {"language": "json"}},
        }
    elif _FORM in content:
        fields = _sample(page, content[_FORM]["schema"])
        request["body"] = {
            "mode": "urlencoded",
            "urlencoded": [{"key": key, "value": str(value)} for key, value in fields.items()],
        }
    return {"name": operation.get("summary") or f"{method.upper()} {path}", "request": request}


def _auth(operation: dict[str, Any]) -> dict[str, Any]:
    schemes = [name for entry in operation.get("security", []) for name in entry]
    if not schemes:
        return {"type": "noauth"}
    token = "{{apiKey}}" if API_KEY_SCHEME in schemes else "{{accessToken}}"
    return {"type": "bearer", "bearer": [{"key": "token", "value": token, "type": "string"}]}


def _url(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    written = re.sub(r"\{(\w+)\}", r":\1", path)
    parameters_by_location: dict[str, list[str]] = {"path": [], "query": []}
    for parameter in operation.get("parameters", ()):
        parameters_by_location.setdefault(parameter["in"], []).append(parameter["name"])
    url: dict[str, Any] = {
        "raw": "{{baseUrl}}" + written,
        "host": ["{{baseUrl}}"],
        "path": written.strip("/").split("/"),
    }
    if parameters_by_location["path"]:
        url["variable"] = [{"key": name, "value": ""} for name in parameters_by_location["path"]]
    if parameters_by_location["query"]:
        url["query"] = [
            {"key": name, "value": "", "disabled": True} for name in parameters_by_location["query"]
        ]
    return url


def _sample(page: dict[str, Any], schema: dict[str, Any], name: str = "") -> Any:
    """Return the sample for a known name, else the smallest value of the schema."""
    if "$ref" in schema:
        return _sample(page, page["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], name)
    if name in _SAMPLES:
        return _SAMPLES[name]
    if "const" in schema or schema.get("enum"):
        return schema.get("const", schema.get("enum", [None])[0])
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _sample(page, schema[key][0], name)
    match schema.get("type"):
        case "object":
            known = schema.get("properties", {})
            return {field: _sample(page, known.get(field, {}), field) for field in schema.get("required", ())}
        case "array":
            return [_sample(page, schema.get("items", {}))] if schema.get("minItems") else []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "string":
            return "…"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is out of date")
    text = json.dumps(collection(openapi()), indent=2, ensure_ascii=False) + "\n"
    if parser.parse_args().check:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET.name} is out of date: run `python scripts/postman.py`.")
        return
    TARGET.write_text(text, encoding="utf-8")
    print(f"Wrote {TARGET.relative_to(TARGET.parent.parent.parent)}")


if __name__ == "__main__":
    main()
