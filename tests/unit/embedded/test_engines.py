"""Real engines on a data directory: kept data, a killed gateway, a stale pid, a path too long."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis
from sqlalchemy.engine import make_url

from gateway.embedded.engines import EmbeddedEngines, engines_for_command
from gateway.embedded.postgres import PostgresServer
from gateway.embedded.valkey import ValkeyServer
from tests.support.processes import descendants, wait_ended

GATEWAY = (
    "import signal, sys; from pathlib import Path; from gateway.embedded.engines import EmbeddedEngines;"
    "engines = EmbeddedEngines(Path(sys.argv[1]), database_url='', redis_url=''); engines.start();"
    "print('up', flush=True); signal.pause()"
)


def query(url: str, statement: str) -> object:
    parts = make_url(url)

    async def ask() -> object:
        connection = await asyncpg.connect(
            host=parts.query["host"], user=parts.username, database=parts.database
        )
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_killed_gateway_leaves_no_engine_and_its_data_survives(tmp_path: Path) -> None:
    gateway = subprocess.Popen([sys.executable, "-c", GATEWAY, str(tmp_path)], stdout=subprocess.PIPE)
    assert gateway.stdout is not None
    assert gateway.stdout.readline() == b"up\n"
    with engines_for_command(tmp_path, database_url="", redis_url="") as found:
        query(found.database_url, "CREATE TABLE kept AS SELECT 7 AS n")
        assert redis.Redis.from_url(found.redis_url).ping()
    family = descendants(gateway.pid)
    assert len(family) > 4  # two supervisors, two engines, PostgreSQL's own children
    gateway.kill()
    gateway.wait()
    others = descendants(os.getpid())
    engines = EmbeddedEngines(tmp_path, database_url="", redis_url="")
    engines.start()
    assert wait_ended(family, 0) == set()
    assert query(engines.database_url, "SELECT n FROM kept") == 7
    mine = descendants(os.getpid()) - others
    assert mine
    engines.stop()
    assert wait_ended(mine, 0) == set()


def test_postgres_starts_with_a_pid_file_of_an_unrelated_process(tmp_path: Path) -> None:
    postgres = PostgresServer(tmp_path / "postgres", durable=False)
    postgres.start()
    assert query(postgres.url(), "SELECT current_database()") == "gateway"
    supervisor = postgres.engine
    assert supervisor is not None
    family = descendants(supervisor.pid)
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    os.kill(supervisor.pid, signal.SIGSTOP)  # it must not start the engine again
    os.kill(int(lines[0]), signal.SIGKILL)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert wait_ended(family) == set()
    # A pid file of PostgreSQL's user that now names another process of that user makes PostgreSQL refuse.
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
    second = PostgresServer(tmp_path / "postgres", durable=False)
    second.start()
    assert query(second.url(), "SELECT 1") == 1
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    second.stop()


@pytest.mark.skipif(
    os.getuid() != 0 or sys.platform != "linux", reason="only root has to become another user"
)
def test_root_runs_postgres_without_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run

    def without_namespaces(command: list[str], **named: Any) -> subprocess.CompletedProcess[Any]:
        if "namespace" in command:
            return subprocess.CompletedProcess(command, 1)
        return run(command, **named)

    monkeypatch.setattr(subprocess, "run", without_namespaces)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)  # as root's home is
    postgres = PostgresServer(closed / "postgres", durable=False)
    postgres.start()
    assert query(postgres.url(), "SELECT 1") == 1
    supervisor = postgres.engine
    assert supervisor is not None
    family = descendants(supervisor.pid)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert wait_ended(family) == set()


def test_path_too_long_for_a_socket_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    valkey = ValkeyServer(deep / "valkey")
    valkey.start()
    assert redis.Redis.from_url(valkey.url()).ping()
    assert str(deep) not in valkey.url()
    valkey.stop()
    Path(valkey.url().removeprefix("unix://").partition("?")[0]).parent.rmdir()


async def _busy(url: str, begun: asyncio.Event) -> None:
    """A client whose statement is running when the server dies."""
    parts = make_url(url)
    connection = await asyncpg.connect(host=parts.query["host"], user=parts.username, database=parts.database)
    begun.set()
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.fetchval("SELECT count(*) FROM generate_series(1, 3000000)")


def test_engines_killed_under_load_are_restarted(tmp_path: Path) -> None:
    engines = EmbeddedEngines(tmp_path, database_url="", redis_url="")
    engines.start()
    try:
        query(engines.database_url, "CREATE TABLE kept AS SELECT 7 AS n")

        async def kill_under_load() -> None:
            begun = [asyncio.Event() for _ in range(12)]
            clients = [asyncio.create_task(_busy(engines.database_url, event)) for event in begun]
            await asyncio.gather(*(event.wait() for event in begun))
            os.kill(int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            await asyncio.wait(clients)

        asyncio.run(kill_under_load())
        valkey = redis.Redis.from_url(engines.redis_url)
        os.kill(int(valkey.info("server")["process_id"]), signal.SIGKILL)

        _until(lambda: query(engines.database_url, "SELECT n FROM kept") == 7)
        _until(lambda: redis.Redis.from_url(engines.redis_url).ping())
    finally:
        engines.stop()


def _until(good: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if good():
                return
        except (OSError, asyncpg.PostgresError, redis.RedisError):
            assert time.monotonic() < deadline
        time.sleep(0.05)
