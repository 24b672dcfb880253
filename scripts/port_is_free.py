"""Exit with an error message if the port of `make run` is in use, before anything is installed or built.

Uses only the standard library. Arguments: the host and the port passed to `make`; if one is empty, the
environment and `.env` are used, as in `gateway serve`.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path


def main() -> None:
    arguments = dict(zip(("HOST", "PORT"), sys.argv[1:], strict=False))
    host = setting("HOST", arguments) or "127.0.0.1"
    port = setting("PORT", arguments) or "8000"
    if not port.isdigit() or int(port) > 65_535:
        sys.exit(f"PORT={port} is not a port. Use a number from 0 to 65535.")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        sys.exit(
            f"Cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}. Stop the "
            "process that uses it, or choose another port: make run PORT=8001."
        )


def setting(name: str, arguments: dict[str, str]) -> str:
    return arguments.get(name) or os.environ.get(name) or from_env_file(name)


def from_env_file(name: str) -> str:
    try:
        lines = Path(".env").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    pattern = re.compile(rf"\s*(?:export\s+)?{name}\s*=\s*(.*)$")
    found = [match[1] for match in map(pattern.match, lines) if match]
    return found[-1].split(" #")[0].strip().strip("'\"") if found else ""


if __name__ == "__main__":
    main()
