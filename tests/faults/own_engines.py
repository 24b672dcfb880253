"""Engines that a test may kill, stop and starve: its own, never those of the run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.embedded.engine import Server
from gateway.embedded.postgres import Postgres
from gateway.embedded.valkey import Valkey
from tests.engines import migrate
from tests.processes import descendants, still_living


def process_of(server: Server) -> int:
    """The engine's own process, beneath the shim: the postmaster, or Valkey."""
    assert server.engine is not None
    below = {pid for pid, _ in descendants(server.engine.pid)}
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in below}
    comm = "postgres" if isinstance(server, Postgres) else "valkey"
    named = {pid for pid in below if comm in Path(f"/proc/{pid}/comm").read_text()}
    (top,) = [pid for pid in named if parents[pid] not in named]
    return top


async def kill(server: Server) -> None:
    """`kill -9` of the engine, and of its shim, which would start it anew; returns when all have gone."""
    assert server.engine is not None
    family = descendants(server.engine.pid)
    engine = process_of(server)
    os.kill(server.engine.pid, signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    left = await asyncio.to_thread(still_living, family)
    assert not left
    await asyncio.to_thread(server.stop)


@asynccontextmanager
async def own_valkey(directory: Path) -> AsyncIterator[Valkey]:
    valkey = Valkey(directory / "valkey", databases=4)
    await asyncio.to_thread(valkey.start)
    try:
        yield valkey
    finally:
        await asyncio.to_thread(valkey.stop)


@asynccontextmanager
async def own_postgres(directory: Path) -> AsyncIterator[Postgres]:
    """A migrated PostgreSQL that keeps what it has committed; its database is `postgres.url()`."""
    postgres = Postgres(directory / "postgres")
    await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(migrate, postgres.url())
        yield postgres
    finally:
        await asyncio.to_thread(postgres.stop)
