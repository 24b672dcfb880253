"""PostgreSQL and Valkey of a test run, and the databases of its workers."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import URL, make_url

from gateway.embedded.postgres import PostgresServer
from gateway.embedded.valkey import ValkeyServer
from tests.support.paths import PROJECT

RUN_VARIABLE = "GATEWAY_TEST_RUN"  # names this run's databases; set by the process that started the engines
VALKEY_DATABASES = 64
# How long a test waits for an engine on a slow machine.
SLOW_MACHINE_SECONDS = 60.0


def run_in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a new thread, which has no event loop yet."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class RunEngines:
    """The engines of one run, started by the controlling process.

    An engine named by DATABASE_URL_TEST or REDIS_URL_TEST is used as it is. Otherwise these variables are set
    to the engines started here, for the workers to inherit.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="gateway-tests-"))
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None
        self._given: dict[str, str | None] = {}

    def start(self) -> None:
        self._set(RUN_VARIABLE, f"gateway_test_{secrets.token_hex(4)}")
        if not os.environ.get("DATABASE_URL_TEST"):
            self._postgres = PostgresServer(self._directory / "postgres", durable=False)
            self._postgres.start()
            self._set("DATABASE_URL_TEST", self._postgres.url("postgres"))
        if not os.environ.get("REDIS_URL_TEST"):
            self._valkey = ValkeyServer(self._directory / "valkey", databases=VALKEY_DATABASES)
            self._valkey.start()
            self._set("REDIS_URL_TEST", self._valkey.url())

    def stop(self) -> None:
        if self._postgres is None:
            run_in_thread(_drop_databases(os.environ[RUN_VARIABLE]))
        for engine in (self._postgres, self._valkey):
            if engine is not None:
                engine.request_stop()
        for engine in (self._postgres, self._valkey):
            if engine is not None:
                engine.stop()
        _template_lock().unlink(missing_ok=True)
        _template_mark().unlink(missing_ok=True)
        for name, value in self._given.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self._directory, ignore_errors=True)

    def _set(self, name: str, value: str) -> None:
        self._given[name] = os.environ.get(name)
        os.environ[name] = value


def worker_database(worker: str) -> str:
    """Copy the migrated template for this worker and return the SQLAlchemy URL."""
    run = os.environ[RUN_VARIABLE]
    template = f"{run}_template"
    with _template_lock().open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _template_mark().exists():
            execute_on_server(f'CREATE DATABASE "{template}"')
            migrate(database_url_for(template))
            _template_mark().touch()
        name = f"{run}_{worker}"
        execute_on_server(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return database_url_for(name)


def worker_valkey(worker: str) -> str:
    """The address of this worker's numbered Valkey database."""
    number = int("".join(filter(str.isdigit, worker)) or 0)
    limit = VALKEY_DATABASES if os.environ["REDIS_URL_TEST"].startswith("unix:") else 16
    base, _, _ = os.environ["REDIS_URL_TEST"].partition("?")
    return f"{base}?db={number % limit}"


async def truncate_all(database_url: str) -> None:
    """Truncate all tables except Alembic's."""
    connection = await _connect(make_url(database_url))
    try:
        rows = await connection.fetch(
            "SELECT quote_ident(tablename) AS name FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        if rows:
            await connection.execute(
                f"TRUNCATE {', '.join(row['name'] for row in rows)} RESTART IDENTITY CASCADE"
            )
    finally:
        await connection.close()


def database_url_for(database: str) -> str:
    """The SQLAlchemy URL of a database on this run's server."""
    return (
        make_url(os.environ["DATABASE_URL_TEST"]).set(database=database).render_as_string(hide_password=False)
    )


def _template_lock() -> Path:
    return Path(tempfile.gettempdir()) / f"{os.environ[RUN_VARIABLE]}.lock"


def _template_mark() -> Path:
    return _template_lock().with_suffix(".migrated")


async def _connect(url: URL) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(
        host=url.query.get("host") or url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        database=url.database,
    )


def execute_on_server(statement: str) -> None:
    """Run one statement, as the superuser, outside of any of the run's databases."""
    run_in_thread(_execute(statement))


async def _execute(statement: str) -> None:
    connection = await _connect(make_url(os.environ["DATABASE_URL_TEST"]))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _drop_databases(run: str) -> None:
    connection = await _connect(make_url(os.environ["DATABASE_URL_TEST"]))
    try:
        for row in await connection.fetch(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", run
        ):
            await connection.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
    finally:
        await connection.close()


def migrate(database_url: str) -> None:
    """Migrate a database to the newest schema."""
    if not any((PROJECT / "alembic" / "versions").glob("*.py")):
        return
    from alembic.config import Config

    from alembic import command

    config = Config(PROJECT / "alembic.ini")
    config.attributes["database_url"] = database_url
    with ThreadPoolExecutor(1) as pool:  # env.py has an event loop of its own
        pool.submit(command.upgrade, config, "head").result()
