"""Engines of a test's own, which it may kill, stop and starve."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.embedded.engine import EngineServer
from gateway.embedded.postgres import PostgresServer
from gateway.embedded.valkey import ValkeyServer
from tests.support.engines import migrate
from tests.support.processes import descendants, wait_ended


def engine_process(server: EngineServer) -> int:
    """The engine's own process, below the supervisor: the postmaster, or Valkey."""
    assert server.engine is not None
    below = {pid for pid, _ in descendants(server.engine.pid)}
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in below}
    comm = "postgres" if isinstance(server, PostgresServer) else "valkey"
    named = {pid for pid in below if comm in Path(f"/proc/{pid}/comm").read_text()}
    (top,) = [pid for pid in named if parents[pid] not in named]
    return top


async def kill_engine(server: EngineServer) -> None:
    """`kill -9` the engine and its supervisor, which would restart it; returns when all have ended."""
    assert server.engine is not None
    family = descendants(server.engine.pid)
    engine = engine_process(server)
    os.kill(server.engine.pid, signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    left = await asyncio.to_thread(wait_ended, family)
    assert not left
    await asyncio.to_thread(server.stop)


@asynccontextmanager
async def private_valkey(directory: Path) -> AsyncIterator[ValkeyServer]:
    valkey = ValkeyServer(directory / "valkey", databases=4)
    await asyncio.to_thread(valkey.start)
    try:
        yield valkey
    finally:
        await asyncio.to_thread(valkey.stop)


@asynccontextmanager
async def private_postgres(directory: Path) -> AsyncIterator[PostgresServer]:
    """A migrated PostgreSQL that keeps what it has committed; its database is `postgres.url()`."""
    postgres = PostgresServer(directory / "postgres")
    await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(migrate, postgres.url())
        yield postgres
    finally:
        await asyncio.to_thread(postgres.stop)
