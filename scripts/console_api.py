"""Writes the bodies of the OpenAPI page that the console reads, for `web/src/api/schema.d.ts`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gateway.main import create_app

# The console's TypeScript knows these and what hangs below them, and nothing else.
PATHS = (
    "/api/admin/", "/api/auth/", "/api/chat", "/api/console", "/api/conversations", "/api/metrics",
    "/api/models", "/api/tools", "/api/user/",
)  # fmt: skip


def page(paths: tuple[str, ...] = PATHS) -> dict[str, Any]:
    """The page without its paths, and with those schemas alone that these paths need."""
    whole = create_app().openapi()
    kept = {path: what for path, what in whole["paths"].items() if path.startswith(paths)}
    schemas = whole["components"]["schemas"]
    needed: dict[str, Any] = {}
    waiting = _references(kept)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = schemas[name]
            waiting |= _references(schemas[name])
    return {
        "openapi": whole["openapi"],
        "info": {"title": whole["info"]["title"], "version": "console"},
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
