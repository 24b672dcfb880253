"""Fairness between accounts: one account's code does not block that of others."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.base import ToolError, TurnServices
from gateway.tools.code.fair_limiter import FairLimiter
from gateway.tools.code.tool import CodeArguments, CodeTool


async def waiting(places: FairLimiter, account: str, order: list[str]) -> asyncio.Task[None]:
    """Start a task that waits for a permit, and records when it has one."""

    async def wait() -> None:
        await places.acquire(account, 10)
        order.append(account)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def test_permits_are_granted_fairly_by_account() -> None:
    places, order = FairLimiter(2), []
    for _ in range(2):
        await places.acquire("flood", 1)
    tasks = [await waiting(places, "flood", order) for _ in range(20)]
    tasks += [await waiting(places, name, order) for name in ("one", "two", "one")]

    for account in ("flood", "flood", "one", "two", "flood", "flood"):
        places.release(account)
        for _ in range(3):
            await asyncio.sleep(0)

    assert {"one", "two"} <= set(order[:3])
    assert order.count("one") == 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_timed_out_waiter_is_removed() -> None:
    places = FairLimiter(1)
    await places.acquire("a", 1)
    with pytest.raises(TimeoutError):
        await places.acquire("b", 0.01)
    gone = asyncio.create_task(places.acquire("b", 10))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert places.waiting("b") == 0
    places.release("a")
    await places.acquire("c", 1)


async def test_a_permit_granted_to_a_cancelled_waiter_is_released() -> None:
    places = FairLimiter(1)
    await places.acquire("a", 1)
    gone = asyncio.create_task(places.acquire("b", 10))
    await asyncio.sleep(0)
    places.release("a")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await places.acquire("c", 1)


async def test_code_of_another_account_runs_during_a_flood_of_endless_programs() -> None:
    """With a single queue, nineteen of twenty runs were the flood's, and others were rejected as busy."""
    config = ToolsConfig.model_validate({"code": {"seconds": 1, "queue_seconds": 8, "processes": 1}})
    code = CodeTool(config)
    flood = [
        asyncio.create_task(
            code.run_in_turn(CodeArguments(code="while True: pass"), TurnServices(account="flood"))
        )
        for _ in range(20)
    ]
    await asyncio.sleep(0)
    try:
        made = await code.run_in_turn(CodeArguments(code="6 * 7"), TurnServices(account="other"))
        assert "42" in made.text
        assert sum(task.done() for task in flood) <= 3
    finally:
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        await code.aclose()


async def test_an_account_has_a_limited_number_of_waiting_runs() -> None:
    config = ToolsConfig.model_validate({"code": {"seconds": 1, "processes": 1, "waiting_per_account": 2}})
    code = CodeTool(config)
    flood = [
        asyncio.create_task(
            code.run_in_turn(CodeArguments(code="while True: pass"), TurnServices(account="flood"))
        )
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    try:
        with pytest.raises(ToolError, match="Too many programs"):
            await code.run_in_turn(CodeArguments(code="1"), TurnServices(account="flood"))
    finally:
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        await code.aclose()
