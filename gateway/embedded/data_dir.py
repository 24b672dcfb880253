"""Data directory: locked by one gateway at a time.

Contains secrets and engine addresses.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from pathlib import Path
from typing import Final

from gateway.embedded.errors import EngineError

# Engines of a killed gateway need a moment to shut down; they hold its lock until then.
WAIT_FOR_DYING_ENGINES_SECONDS: Final = 30.0


class DataDirInUse(EngineError):
    """Another gateway uses the directory; `pid` is its process."""

    def __init__(self, path: Path, pid: int) -> None:
        self.pid = pid
        super().__init__(
            f"Another gateway (pid {pid}) uses the data directory {path}. Stop it first, or choose another "
            "directory with --data-dir."
        )


class DataDir:
    """A directory that one gateway locks while it runs."""

    def __init__(self, path: Path) -> None:
        """Creates nothing yet: a gateway without embedded engines needs no directory."""
        self.path = path.expanduser().resolve()
        self._lock = -1

    @property
    def lock_descriptor(self) -> int:
        """Descriptor of the lock, kept open by the engines' supervisors."""
        return self._lock

    def create(self) -> None:
        """Create the directory if necessary; raises EngineError if it is not writable."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock < 0:
                self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EngineError(
                f"The data directory {self.path} is not writable ({(error.strerror or '').lower()}). "
                "Choose another with --data-dir."
            ) from error

    def acquire(self) -> None:
        """Lock the directory for this process.

        Raises:
            DataDirInUse: a running gateway uses it.
            EngineError: it is not writable.
        """
        self.create()
        deadline = time.monotonic() + WAIT_FOR_DYING_ENGINES_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = self._owner()
                if _is_alive(pid) or time.monotonic() > deadline:
                    raise DataDirInUse(self.path, pid) from None
                time.sleep(0.05)
            else:
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
                return

    def close(self) -> None:
        """Unlock the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def secret(self, name: str) -> str:
        """Return the secret in the file `name` (mode 0600).

        Generates 48 random bytes at first.
        """
        self.create()
        path = self.path / name
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            value = secrets.token_urlsafe(48)
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)  # atomic
        return value

    def publish_addresses(self, addresses: dict[str, str]) -> None:
        """Write the engines' addresses for the operator's commands."""
        path = self.path / "engines.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(addresses))

    def read_addresses(self) -> dict[str, str]:
        """Read the running gateway's engine addresses; empty while it is starting."""
        try:
            found = json.loads((self.path / "engines.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {str(name): str(value) for name, value in found.items()}

    def clear_addresses(self) -> None:
        """Delete the published addresses."""
        (self.path / "engines.json").unlink(missing_ok=True)

    def _owner(self) -> int:
        text = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
