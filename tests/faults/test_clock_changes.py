"""Clocks that jump by ten minutes change no access and no limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis.asyncio

from tests.faults.summary import RecordFault
from tests.support.private_engines import private_valkey
from tests.support.two_worker_stage import (
    Caller,
    TwoWorkerStage,
    create_completion,
    local_workers,
    openai_config,
    stream_turn,
    two_worker_stage,
)

ROW = "clock moved by 10 minutes"
PER_MINUTE = 20
TEN_MINUTES = 600
LIBRARY = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), "")
needs_faketime = pytest.mark.skipif(not LIBRARY, reason="libfaketime is not installed (apt install faketime)")


def _limited(**providers: str) -> dict[str, Any]:
    config = openai_config(**providers)
    config["tiers"] = {
        "free": {"usd_per_month": 1000},
        "tight": {"requests_per_minute": PER_MINUTE, "tokens_per_day": 1_000_000},
    }
    return config


class Clock:
    """The clock of processes that are started with its `environment`; monotonic time goes on as it is."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set(self, seconds: int) -> None:
        """So many seconds before or after the right time."""
        self._file.write_text(f"{seconds:+d}\n")

    async def move(self, seconds: int) -> None:
        """The same, once it has been noticed."""
        self.set(seconds)
        await asyncio.sleep(1.6)


@asynccontextmanager
async def _tight(one: TwoWorkerStage) -> AsyncIterator[Caller]:
    """A caller of the tight tier, with a window of its own that is empty."""
    caller = await one.add_caller()
    async with one.checker.engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE users SET tier = 'tight' WHERE id = '{caller.account.id}'")
    yield caller


def _be_patient(one: TwoWorkerStage) -> None:
    """Valkey counts here, on a busy machine too."""
    for worker in local_workers(one):
        client: Any = worker.container.valkey
        client._deadline = 30


async def _admitted(one: TwoWorkerStage, caller: Caller, count: int) -> int:
    heard = await asyncio.gather(*(create_completion(one.workers[n % 2], caller) for n in range(count)))
    for each in heard:
        assert each.assert_one_ending() in ("200", "429")
        if each.status == 429:
            assert int(each.headers["retry-after"]) <= 60, (
                "nobody waits longer than a minute for a minute's limit"
            )
    return sum(each.status == 200 for each in heard)


async def test_a_rate_limit_window_in_the_future_blocks_nobody(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path, _limited) as one, _tight(one) as caller:
        _be_patient(one)
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.flushdb()  # the tier is read again, its window is empty
            await create_completion(one.first, caller)
            assert await _admitted(one, caller, 2 * PER_MINUTE) == PER_MINUTE - 1
            for name in await client.keys("rate:*"):
                counted = await client.zrange(name, 0, -1, withscores=True)
                await client.zadd(name, {member: at + TEN_MINUTES * 1e6 for member, at in counted})
        assert await _admitted(one, caller, 2 * PER_MINUTE) == PER_MINUTE
        await one.checker.assert_consistent()
    seen(
        ROW, times=4 * PER_MINUTE, what="limits held, and no account was locked out for longer than a minute"
    )


@needs_faketime
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_worker_with_a_wrong_clock_keeps_the_same_limits(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    clock, turns = Clock(tmp_path), 0
    async with two_worker_stage(
        database_url, redis_url, tmp_path, _limited, processes=True, environment=clock.environment
    ) as one:
        easy = await one.add_caller()
        for offset in (TEN_MINUTES, -TEN_MINUTES, 0):
            async with _tight(one) as caller:
                await asyncio.sleep(0)
                await clock.move(offset)
                for door in one.workers:
                    assert (await stream_turn(door, easy)).assert_one_ending() == "done"
                    assert (await create_completion(door, easy, stream=True)).assert_one_ending() == "done"
                    me = await door.http.get("/api/user/me", headers=easy.token_headers)
                    # By that clock ten of fifteen minutes are gone; then the token is refreshed.
                    assert me.status_code == 200 or me.json()["error"]["code"] == "token_expired"
                turns += 4
                async with redis.asyncio.Redis.from_url(redis_url) as client:
                    await client.flushdb()
                away = one.checker.log.read().count("valkey.unavailable")
                admitted = await _admitted(one, caller, 2 * PER_MINUTE)
                # Where a busy machine was late, each worker went on by itself with what was left of its half.
                late = one.checker.log.read().count("valkey.unavailable") > away
                assert admitted <= PER_MINUTE * (1.5 if late else 1)
                turns += 2 * PER_MINUTE
        await one.checker.assert_consistent()
    seen(ROW, times=turns, what="workers' clocks: every turn answered, limits exact to the request")


@needs_faketime
@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_valkey_clock_jump_blocks_nobody_and_admits_one_extra_minute(
    database_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    clock = Clock(tmp_path)
    with patch.dict(os.environ, clock.environment):
        valkey = private_valkey(tmp_path)
        server = await valkey.__aenter__()
    try:
        async with (
            two_worker_stage(database_url, server.url(), tmp_path, _limited) as one,
            _tight(one) as caller,
        ):
            _be_patient(one)
            async with redis.asyncio.Redis.from_url(server.url()) as client:
                await client.flushdb()
                before = (await client.time())[0]
                assert await _admitted(one, caller, 2 * PER_MINUTE) <= PER_MINUTE
                await clock.move(-TEN_MINUTES)
                assert (await client.time())[0] < before - TEN_MINUTES / 2
                assert 0 < await _admitted(one, caller, 2 * PER_MINUTE) <= PER_MINUTE
                assert await _admitted(one, caller, PER_MINUTE) == 0
                await clock.move(TEN_MINUTES)
                assert 0 < await _admitted(one, caller, 2 * PER_MINUTE) <= PER_MINUTE
                assert await _admitted(one, caller, PER_MINUTE) == 0
            await one.checker.assert_consistent()
    finally:
        await valkey.__aexit__(None, None, None)
    seen(
        ROW,
        times=8 * PER_MINUTE,
        what="Valkey's clock: a new minute starts, its limits hold, no account was locked out longer",
    )
