"""A cancelled request's answer never reaches another client, behind slow networks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from gateway.core.exceptions import Unavailable
from tests.faults.summary import RecordFault
from tests.support.gateway import Gateway
from tests.support.two_worker_stage import (
    Caller,
    TwoWorkerStage,
    create_completion,
    local_workers,
    send_request,
    two_worker_stage,
    wait_pools_idle,
)
from tests.support.upstreams.http_server import Reply

ROW = "200 cancellations behind a delaying proxy"
DELAY = 0.004  # seconds each way; a call takes a few round trips


async def _cancel_some(
    ask: Callable[[int], Awaitable[None]], count: int, draw: random.Random, at_once: int = 40
) -> int:
    """Ask so often; three of four are called off at some moment. How many really were."""
    cancelled = 0
    limit = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        nonlocal cancelled
        async with limit:
            task = asyncio.create_task(ask(number))
            if number % 4:
                await asyncio.wait({task}, timeout=draw.uniform(0, 8 * DELAY))
                task.cancel()
            await asyncio.wait({task})
            cancelled += task.cancelled()
            if not task.cancelled():
                task.result()

    await asyncio.gather(*(one(number) for number in range(count)))
    return cancelled


@pytest.mark.parametrize("fewest", [30, pytest.param(200, marks=pytest.mark.slow)])
async def test_no_engine_reply_reaches_another_account(
    database_url: str, redis_url: str, tmp_path: Path, fewest: int, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path) as one:
        callers = [await one.add_caller() for _ in range(3)]
        one.database.latency = one.valkey.latency = DELAY
        draw = random.Random(6)
        workers = local_workers(one)

        async def ask(number: int) -> None:
            caller, worker = callers[number % 3], workers[number % 2]
            await (_who(worker, caller) if number % 5 else _profile(worker, caller))

        cancelled = 0
        while cancelled < fewest:
            cancelled += await _cancel_some(ask, fewest, draw)
        for number in range(12):
            caller, worker = callers[number % 3], workers[number % 2]
            await _who_indeed(worker, caller)
        await wait_pools_idle(one)
        await one.checker.assert_consistent()
    seen(ROW, times=cancelled, what="every answer went to its requester, and every connection was returned")


@pytest.mark.slow
async def test_no_response_reaches_another_client_after_disconnects(
    database_url: str, redis_url: str, tmp_path: Path, seen: RecordFault
) -> None:
    async with two_worker_stage(database_url, redis_url, tmp_path) as one:
        callers = [await one.add_caller() for _ in range(3)]
        one.upstream.script(Reply(pause=0.005))
        one.database.latency = one.valkey.latency = DELAY
        for number, caller in enumerate(callers):
            await create_completion(one.first, caller, f"I am caller {number}")

        async def ask(number: int) -> None:
            await _over_http(one, callers, number)

        cancelled = await _cancel_some(ask, 200, random.Random(7), at_once=24)
        for number in range(16):
            await ask(number)
        entries = await one.checker.assert_consistent()
        for row in entries.messages:
            if row["role"] == "user":
                assert row["content"] == f"I am {row['user_id']}"
    seen(ROW, times=cancelled, what="every answer went to its requester, and every connection was returned")


async def _who(worker: Gateway, caller: Caller) -> None:
    """A refusal is a valid response too: disconnects cost connections, which are reopened."""
    with suppress(Unavailable):
        await _who_indeed(worker, caller)


async def _who_indeed(worker: Gateway, caller: Caller) -> None:
    principal = await worker.container.accounts.authenticator.authenticate(caller.key_headers)
    assert principal.user_id == UUID(caller.account.id)
    principal = await worker.container.accounts.authenticator.authenticate(caller.token_headers)
    assert principal.user_id == UUID(caller.account.id)


async def _profile(worker: Gateway, caller: Caller) -> None:
    with suppress(Unavailable):
        user = await worker.container.accounts.users.get(UUID(caller.account.id))
        assert user.email == caller.account.email


async def _over_http(one: TwoWorkerStage, callers: list[Caller], number: int) -> None:
    caller, door = callers[number % 3], one.workers[number % 2]
    if number % 5 == 0:
        heard = await send_request(door, caller.token_headers, {"message": f"I am {caller.account.id}"})
        assert heard.assert_one_ending() in ("done", "503")
    elif number % 5 == 1:
        assert (await create_completion(door, caller, stream=True)).assert_one_ending() in ("done", "503")
    else:
        me = await door.http.get("/api/user/me", headers=caller.token_headers)
        assert me.status_code == 503 or me.json()["id"] == caller.account.id
