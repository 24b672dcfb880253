"""The client imports nothing of the server."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
import gateway.client
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
print(" ".join(sorted(name for name in sys.modules if name.startswith("gateway"))))
"""
_SERVERS = "fastapi starlette sqlalchemy asyncpg redis langgraph numpy structlog orjson aiohttp"


def test_import_loads_httpx_and_pydantic_but_nothing_of_the_server() -> None:
    result = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)

    packages, own = result.stdout.splitlines()
    assert {"httpx", "pydantic"} <= set(packages.split())
    assert set(packages.split()).isdisjoint(_SERVERS.split())
    assert all(name == "gateway" or name.startswith("gateway.client") for name in own.split())
