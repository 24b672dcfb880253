"""Engines, databases and settings for all tests."""

from __future__ import annotations

import gc
from collections.abc import Generator
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.support.engines import (
    SLOW_MACHINE_SECONDS,
    RunEngines,
    truncate_all,
    worker_database,
    worker_valkey,
)
from tests.support.shared_startup import share_tls_context

share_tls_context()

_ENGINES = pytest.StashKey[RunEngines]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the engines once, in the controlling process; workers inherit their addresses."""
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    engines = RunEngines()
    config.stash[_ENGINES] = engines
    engines.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    engines = config.stash.get(_ENGINES, None)
    if engines is not None:
        engines.stop()


def pytest_collection_finish() -> None:
    """Freeze what collection made: the garbage collector need not traverse it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates of hostile text, which xdist cannot transmit."""
    report = yield
    report.sections = [(name, _sendable(text)) for name, text in report.sections]
    if report.failed and (text := str(report.longrepr)) != _sendable(text):
        report.longrepr = _sendable(text)
    return report


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@pytest.fixture(scope="session")
def database_url(worker_id: str) -> str:
    """This worker's migrated database, shared by its tests: use new accounts."""
    return worker_database(worker_id)


@pytest.fixture(scope="session")
def redis_url(worker_id: str) -> str:
    """This worker's numbered Valkey database."""
    url = worker_valkey(worker_id)
    client = redis.Redis.from_url(url)
    client.flushdb()
    client.close()
    return url


@pytest.fixture
def patient_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the engines' timeouts for load tests of limits, since a busy machine is only slow.

    Without this, requests may be rejected with 503 and counted by each worker locally.
    """
    from gateway.cache.client import ValkeyClient
    from gateway.core import database

    for name in ("POOL_TIMEOUT", "STUCK_AFTER_SECONDS", "HOT_PATH_TIMEOUT", "COMMAND_TIMEOUT"):
        monkeypatch.setattr(database, name, SLOW_MACHINE_SECONDS)
    defaults: Any = ValkeyClient.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "deadline", SLOW_MACHINE_SECONDS)


@pytest.fixture
async def clean_database(database_url: str) -> str:
    """This worker's database with empty tables."""
    await truncate_all(database_url)
    return database_url


@pytest.fixture
async def clean_redis(redis_url: str) -> str:
    """This worker's Valkey database, emptied."""
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushdb()
    await client.aclose()
    return redis_url
