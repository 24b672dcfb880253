"""Yields to the event loop while iterating over events that may all be available.

An `await` suspends only if it has to wait. Without a pause, a stream whose events are already there would
block every other request of its worker until it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeVar

T = TypeVar("T")

# One to three milliseconds of work.
EVENTS_PER_PAUSE: Final = 64


async def iterate_cooperatively(events: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Yield the same events, pausing for other tasks after every `EVENTS_PER_PAUSE`.

    Closes `events` at the end.
    """
    remaining = EVENTS_PER_PAUSE
    try:
        async for event in events:
            yield event
            remaining -= 1
            if not remaining:
                remaining = EVENTS_PER_PAUSE
                await asyncio.sleep(0)
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
