"""Background tasks, periodic loops and replay buffers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gateway.core.aio import BackgroundTasks, ReplayBuffer, cancel_and_wait, run_every
from gateway.core.exceptions import Unavailable


async def test_drain_waits_for_tasks_that_other_tasks_start() -> None:
    tasks, ended = BackgroundTasks(), []

    async def second() -> None:
        await asyncio.sleep(0)
        ended.append("second")

    async def first() -> None:
        tasks.spawn(second())
        ended.append("first")

    tasks.spawn(first())
    await tasks.drain()
    assert ended == ["first", "second"]
    assert len(tasks) == 0


async def test_drain_cancels_after_the_grace_once_and_waits_for_the_clean_up() -> None:
    tasks, ended = BackgroundTasks(), []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)
            ended.append("cleaned up")

    tasks.spawn(slow())
    await tasks.drain(grace_seconds=0.01)
    assert ended == ["cleaned up"]


async def test_a_task_that_fails_leaves_the_set() -> None:
    tasks = BackgroundTasks()

    async def fail() -> None:
        raise ValueError

    task = tasks.spawn(fail())
    await tasks.drain()
    assert isinstance(task.exception(), ValueError)


@asynccontextmanager
async def _loop(*errors: Exception, **options: object) -> AsyncIterator[list[int]]:
    """A loop whose first calls fail with `errors`; gives the list of calls."""
    calls: list[int] = []
    failures = list(errors)

    async def tick() -> None:
        calls.append(len(calls))
        if failures:
            raise failures.pop(0)

    task = asyncio.create_task(run_every(0.01, tick, on_failure="job.failed", **options))  # type: ignore[arg-type]
    try:
        yield calls
    finally:
        await cancel_and_wait(task)


async def test_a_loop_survives_errors_and_logs_each() -> None:
    with capture_logs() as logs:
        async with _loop(Unavailable(), OSError(), ValueError()) as calls:
            async with asyncio.timeout(5):
                while len(calls) < 5:  # noqa: ASYNC110 - the loop has no event to wait for
                    await asyncio.sleep(0.01)
    assert [line["event"] for line in logs] == ["job.failed"] * 3
    assert [line["log_level"] for line in logs] == ["warning", "warning", "error"]


async def test_a_loop_starts_after_its_interval_unless_asked_to_start_immediately() -> None:
    async with _loop() as later, _loop(immediately=True) as now:
        await asyncio.sleep(0)
        assert (later, now) == ([], [0])


async def test_setting_the_wake_event_brings_the_next_call_forward() -> None:
    wake, called = asyncio.Event(), asyncio.Event()

    async def tick() -> None:
        called.set()

    task = asyncio.create_task(run_every(60, tick, on_failure="job.failed", wake=wake))
    try:
        wake.set()
        async with asyncio.timeout(5):
            await called.wait()
        assert not wake.is_set()
    finally:
        await cancel_and_wait(task)


async def test_every_reader_gets_all_items_from_its_own_position() -> None:
    buffer = ReplayBuffer([1])
    early = asyncio.create_task(_all(buffer, 0))
    await asyncio.sleep(0)
    buffer.append(2)
    late = asyncio.create_task(_all(buffer, 1))
    await asyncio.sleep(0)
    buffer.append(3)
    buffer.close()
    assert await early == [1, 2, 3]
    assert await late == [2, 3]
    assert (list(buffer.after(1)), len(buffer)) == ([2, 3], 3)


async def test_a_failure_comes_after_the_last_item() -> None:
    buffer: ReplayBuffer[int] = ReplayBuffer()
    buffer.append(1)
    buffer.fail(ValueError("broken"))
    items = buffer.subscribe()
    assert await anext(items) == 1
    with pytest.raises(ValueError, match="broken"):
        await anext(items)


async def test_a_cancelled_reader_does_not_disturb_the_others() -> None:
    buffer: ReplayBuffer[int] = ReplayBuffer()
    cancelled, other = (asyncio.create_task(_all(buffer, 0)) for _ in range(2))
    await asyncio.sleep(0)
    await cancel_and_wait(cancelled)
    buffer.append(1)
    buffer.close()
    assert await other == [1]


async def test_waiting_beyond_a_position_ends_with_the_buffer() -> None:
    buffer: ReplayBuffer[int] = ReplayBuffer()
    waiting = asyncio.create_task(buffer.wait_beyond(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    buffer.close()
    await asyncio.wait_for(waiting, 5)


async def _all(buffer: ReplayBuffer[int], after: int) -> list[int]:
    return [item async for item in buffer.subscribe(after)]
