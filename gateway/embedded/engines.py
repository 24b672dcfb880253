"""All engines that one command needs, under the lock of its data directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.data_dir import DataDir, DataDirInUse
from gateway.embedded.engine import Server
from gateway.embedded.errors import EngineError
from gateway.embedded.llama import Llama
from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey


class Engines:
    """Starts the engines that have no address of their own, and stops them all together."""

    def __init__(self, directory: Path, *, database_url: str, redis_url: str) -> None:
        """An empty address means that this engine is to be embedded."""
        self.data_dir = DataDir(directory)
        self.database_url = database_url
        self.redis_url = redis_url
        self.local_model_url = ""
        self._children: list[Server] = []

    def start(self) -> None:
        """Take the directory and start what is missing; raises EngineError, with nothing left running."""
        if self.database_url and self.redis_url:
            return  # nothing of ours is in the directory, so others may use it too
        self.data_dir.acquire()
        with ExitStack() as undo:
            undo.callback(self.stop)
            hold = (self.data_dir.lock_descriptor,)
            if not self.database_url:
                postgres = Postgres(self.data_dir.path / "postgres", hold=hold)
                self._children.append(postgres)
                postgres.start()
                self.database_url = postgres.url()
            if not self.redis_url:
                valkey = Valkey(self.data_dir.path / "valkey", hold=hold)
                self._children.append(valkey)
                valkey.start()
                self.redis_url = valkey.url()
            self._announce()
            undo.pop_all()

    def start_local_model(self) -> str:
        """Start loading the small model in the background; returns the address where it will answer."""
        self.data_dir.create()
        llama = Llama(self.data_dir.path, hold=(self.data_dir.lock_descriptor,))
        self._children.append(llama)
        llama.start()
        self.local_model_url = llama.url()
        self._announce()
        return self.local_model_url

    def _announce(self) -> None:
        self.data_dir.announce(
            {
                "database_url": self.database_url,
                "redis_url": self.redis_url,
                "local_model_url": self.local_model_url,
            }
        )

    def stop(self) -> None:
        """Stop every engine in good order, then give the directory back."""
        if self._children:
            self.data_dir.withdraw()
        for child in self._children:
            child.ask_to_stop()  # all at once, then wait for each
        for child in self._children:
            child.stop()
        self._children.clear()
        self.data_dir.close()


@dataclass(frozen=True)
class Addresses:
    """Where a command finds its engines."""

    database_url: str
    redis_url: str
    local_model_url: str
    data_dir: DataDir


@contextmanager
def borrowed_engines(directory: Path, *, database_url: str, redis_url: str) -> Iterator[Addresses]:
    """Engines for one short command: the running gateway's, or ones started for the command alone."""
    engines = Engines(directory, database_url=database_url, redis_url=redis_url)
    try:
        engines.start()
    except DataDirInUse:
        found = engines.data_dir.announced()
        if not found:
            engines.data_dir.close()
            raise EngineError("The gateway on this data directory is still starting; try again.") from None
        try:
            yield Addresses(
                database_url or found["database_url"],
                redis_url or found["redis_url"],
                found["local_model_url"],
                engines.data_dir,
            )
        finally:
            engines.data_dir.close()
        return
    try:
        yield Addresses(engines.database_url, engines.redis_url, "", engines.data_dir)
    finally:
        engines.stop()
