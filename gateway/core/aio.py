"""Asyncio building blocks: background tasks, periodic loops, replayable streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic, NoReturn, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.exceptions import GatewayError

log = structlog.get_logger(__name__)

T = TypeVar("T")

# What a periodic job may meet while the database or the network is down: the next run tries again.
TRANSIENT_ERRORS: tuple[type[Exception], ...] = (GatewayError, SQLAlchemyError, OSError)


class BackgroundTasks:
    """Background tasks that are not awaited.

    The event loop keeps only weak references, so this holds strong ones.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in a task of its own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, grace_seconds: float | None = None) -> None:
        """Wait for all tasks, including those started meanwhile.

        Args:
            grace_seconds: after this time the remaining tasks are cancelled, and then awaited.
        """
        loop = asyncio.get_running_loop()
        deadline = None if grace_seconds is None else loop.time() + grace_seconds
        while self._tasks:
            timeout = None if deadline is None else max(0.0, deadline - loop.time())
            _, pending = await asyncio.wait(set(self._tasks), timeout=timeout)
            if pending:
                self.cancel_all()
                deadline = None  # cancelled once; they end in their own time

    def cancel_all(self) -> None:
        """Cancel every task; returns at once."""
        for task in self._tasks:
            task.cancel()


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks and return once they have ended; their errors are ignored."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run_every(
    seconds: float,
    tick: Callable[[], Awaitable[object]],
    *,
    on_failure: str,
    immediately: bool = False,
    wake: asyncio.Event | None = None,
) -> NoReturn:
    """Call `tick` every `seconds` until cancelled.

    A failed call is logged, and the next one tries again.

    Args:
        on_failure: the log event of a failed call.
        immediately: make the first call now instead of after `seconds`.
        wake: set it to make the next call early; it is cleared before each call.
    """
    first = immediately
    while True:
        if not first:
            await _sleep(seconds, wake)
        first = False
        if wake is not None:
            wake.clear()
        try:
            await tick()
        except TRANSIENT_ERRORS as error:
            log.warning(on_failure, error=type(error).__name__)
        except Exception:
            log.exception(on_failure)


async def _sleep(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()


class ReplayBuffer(Generic[T]):
    """An append-only list that any number of readers follow, each from its own position.

    There is one writer, which never waits. A slow reader costs nothing but its position.
    """

    __slots__ = ("_changed", "_failure", "_items", "closed")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items: list[T] = list(items)
        self._changed: asyncio.Event | None = None
        self._failure: BaseException | None = None
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    def append(self, item: T) -> None:
        """Add an item and wake the readers."""
        self._items.append(item)
        if self._changed is not None:
            self._wake()

    def close(self) -> None:
        """Mark the end: readers stop after the last item."""
        self.closed = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Mark the end: readers raise `error` after the last item."""
        self._failure = error
        self.close()

    def after(self, position: int) -> Sequence[T]:
        """The items behind `position` that exist now."""
        return self._items[position:]

    async def wait_beyond(self, position: int) -> None:
        """Return once there are more than `position` items, or no more will come."""
        while len(self._items) <= position and not self.closed:
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()

    async def subscribe(self, after: int = 0) -> AsyncGenerator[T, None]:
        """The items behind position `after`, as they come, until `close`.

        Raises:
            whatever `fail` was given.
        """
        position = after
        items = self._items
        while True:
            while position < len(items):
                item = items[position]
                position += 1
                yield item
            if self.closed:
                break
            await self.wait_beyond(position)
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
