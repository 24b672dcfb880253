"""Short directories for Unix sockets, and probes for listeners."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

from gateway.embedded.errors import EngineError
from gateway.embedded.supervisor import nobody_ids

# sun_path has 108 bytes on Linux and 104 on macOS, including the terminating NUL.
MAX_SOCKET_PATH_BYTES: Final = 103


def socket_dir(preferred: Path, longest_name: str) -> Path:
    """Return `preferred`, or a private temporary directory if its path is too long.

    The replacement's name is derived from `preferred`, so that every command finds the same one.
    """
    path = preferred.resolve()
    if len(os.fsencode(path / longest_name)) > MAX_SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()).resolve() / f"gateway-{os.getuid()}-{digest}"
        if len(os.fsencode(path / longest_name)) > MAX_SOCKET_PATH_BYTES:
            path = Path("/tmp") / path.name  # noqa: S108 - made 0700 below and checked to be ours
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid not in (os.getuid(), nobody_ids()[0]):
        raise EngineError(f"The directory {path} belongs to another user. Remove it and start again.")
    return path


def is_accepting(path: Path) -> bool:
    """Whether something listens on the Unix socket at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(path)) == 0


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port on `host` that is free at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
