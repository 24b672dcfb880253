"""Write the part of the OpenAPI page that the console uses, for `web/src/api/schema.d.ts`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gateway.main import create_app

# Path prefixes whose bodies the console uses.
PATHS = (
    "/api/admin/", "/api/auth/", "/api/chat", "/api/console", "/api/conversations", "/api/metrics",
    "/api/models", "/api/tools", "/api/user/",
)  # fmt: skip


def page(paths: tuple[str, ...] = PATHS) -> dict[str, Any]:
    """Return the page without paths, and with only the schemas that these paths need."""
    document = create_app().openapi()
    operations = {path: item for path, item in document["paths"].items() if path.startswith(paths)}
    schemas = document["components"]["schemas"]
    needed: dict[str, Any] = {}
    pending = _references(operations)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed[name] = schemas[name]
            pending |= _references(schemas[name])
    return {
        "openapi": document["openapi"],
        "info": {"title": document["info"]["title"], "version": "console"},
        "paths": {},
        "components": {"schemas": dict(sorted(needed.items()))},
    }


def _references(node: Any) -> set[str]:
    match node:
        case dict():
            found = {node["$ref"].rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
            return found.union(*(_references(child) for child in node.values()))
        case list():
            return set().union(*map(_references, node))
        case _:
            return set()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(page(), indent=1), encoding="utf-8")
