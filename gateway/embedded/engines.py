"""All engines that one command needs, under the lock of its data directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.data_dir import DataDir, DataDirInUse
from gateway.embedded.engine import EngineServer
from gateway.embedded.errors import EngineError
from gateway.embedded.llama import LlamaServer
from gateway.embedded.postgres import PostgresServer
from gateway.embedded.valkey import ValkeyServer


class EmbeddedEngines:
    """Starts the engines that have no external address, and stops them together."""

    def __init__(self, directory: Path, *, database_url: str, redis_url: str) -> None:
        """An empty address means that this engine is to be embedded."""
        self.data_dir = DataDir(directory)
        self.database_url = database_url
        self.redis_url = redis_url
        self.local_model_url = ""
        self._servers: list[EngineServer] = []

    def start(self) -> None:
        """Lock the directory and start missing engines; raises EngineError and stops all."""
        if self.database_url and self.redis_url:
            return  # the directory is not needed, so others may use it
        self.data_dir.acquire()
        with ExitStack() as undo:
            undo.callback(self.stop)
            hold = (self.data_dir.lock_descriptor,)
            if not self.database_url:
                postgres = PostgresServer(self.data_dir.path / "postgres", inherited_fds=hold)
                self._servers.append(postgres)
                postgres.start()
                self.database_url = postgres.url()
            if not self.redis_url:
                valkey = ValkeyServer(self.data_dir.path / "valkey", inherited_fds=hold)
                self._servers.append(valkey)
                valkey.start()
                self.redis_url = valkey.url()
            self._publish_addresses()
            undo.pop_all()

    def start_local_model(self) -> str:
        """Start loading the small model in the background; returns its address."""
        self.data_dir.create()
        llama = LlamaServer(self.data_dir.path, inherited_fds=(self.data_dir.lock_descriptor,))
        self._servers.append(llama)
        llama.start()
        self.local_model_url = llama.url()
        self._publish_addresses()
        return self.local_model_url

    def _publish_addresses(self) -> None:
        self.data_dir.publish_addresses(
            {
                "database_url": self.database_url,
                "redis_url": self.redis_url,
                "local_model_url": self.local_model_url,
            }
        )

    def stop(self) -> None:
        """Shut every engine down, then unlock the directory."""
        if self._servers:
            self.data_dir.clear_addresses()
        for child in self._servers:
            child.request_stop()  # all at once, then wait for each
        for child in self._servers:
            child.stop()
        self._servers.clear()
        self.data_dir.close()


@dataclass(frozen=True)
class EngineAddresses:
    """Addresses of the engines that a command uses."""

    database_url: str
    redis_url: str
    local_model_url: str
    data_dir: DataDir


@contextmanager
def engines_for_command(directory: Path, *, database_url: str, redis_url: str) -> Iterator[EngineAddresses]:
    """Yield engines for a short command: the running gateway's, or new ones."""
    engines = EmbeddedEngines(directory, database_url=database_url, redis_url=redis_url)
    try:
        engines.start()
    except DataDirInUse:
        found = engines.data_dir.read_addresses()
        if not found:
            engines.data_dir.close()
            raise EngineError("The gateway on this data directory is still starting. Try again.") from None
        try:
            yield EngineAddresses(
                database_url or found["database_url"],
                redis_url or found["redis_url"],
                found["local_model_url"],
                engines.data_dir,
            )
        finally:
            engines.data_dir.close()
        return
    try:
        yield EngineAddresses(engines.database_url, engines.redis_url, "", engines.data_dir)
    finally:
        engines.stop()
