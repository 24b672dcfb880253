"""Ends with a sentence where the port of `make run` is taken; run before anything is installed or built.

Standard library only. Arguments: the address and the port that `make` was given, each possibly empty; then
the environment and `.env` say, as `gateway serve` reads them.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path


def main() -> None:
    given = dict(zip(("HOST", "PORT"), sys.argv[1:], strict=False))
    host = setting("HOST", given) or "127.0.0.1"
    port = setting("PORT", given) or "8000"
    if not port.isdigit() or int(port) > 65_535:
        sys.exit(f"PORT={port} is no port: give a number from 0 to 65535.")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        sys.exit(
            f"Cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}. Stop what uses "
            "it, or choose another port: make run PORT=8001."
        )


def setting(name: str, given: dict[str, str]) -> str:
    return given.get(name) or os.environ.get(name) or from_env_file(name)


def from_env_file(name: str) -> str:
    try:
        lines = Path(".env").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    form = re.compile(rf"\s*(?:export\s+)?{name}\s*=\s*(.*)$")
    found = [match[1] for match in map(form.match, lines) if match]
    return found[-1].split(" #")[0].strip().strip("'\"") if found else ""


if __name__ == "__main__":
    main()
