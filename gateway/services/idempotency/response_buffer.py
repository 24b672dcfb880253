"""A response in progress that any number of readers read from its beginning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gateway.core.aio import ReplayBuffer
from gateway.domain.idempotency import ResponseHead


class ResponseBuffer:
    """A response with one writer and any number of readers."""

    def __init__(self) -> None:
        self._head: asyncio.Future[ResponseHead] = asyncio.get_running_loop().create_future()
        self._head.add_done_callback(_mark_retrieved)
        self._chunks: ReplayBuffer[bytes] = ReplayBuffer()

    async def head(self) -> ResponseHead:
        """Wait for status and headers, and return them.

        Raises:
            the error of the request, if it failed before them.
        """
        return await asyncio.shield(self._head)

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body from its beginning, as it is written.

        Raises:
            the error that interrupted the body.
        """
        return self._chunks.subscribe()

    async def read_body(self) -> bytes:
        """Return the whole body, once it is complete."""
        return b"".join([chunk async for chunk in self.chunks()])

    @property
    def started(self) -> bool:
        """Whether status and headers are known."""
        return self._head.done()

    @property
    def ended(self) -> bool:
        return self._chunks.closed

    def start(self, head: ResponseHead) -> None:
        """Set status and headers."""
        self._head.set_result(head)

    def append(self, chunk: bytes) -> None:
        """Append to the body."""
        self._chunks.append(chunk)

    def end(self) -> None:
        """Mark the body complete."""
        self._chunks.close()

    def fail(self, error: BaseException) -> None:
        """End with an error, before the head or in the middle of the body."""
        if self._head.done():
            self._chunks.fail(error)
        else:
            self._head.set_exception(error)
            self._chunks.close()

    def to_bytes(self) -> bytes:
        """Return head and body for storage. Call it only after a successful end."""
        return self._head.result().serialize(self.bytes_from(0))

    def complete_from(self, stored: bytes) -> None:
        """Append the missing rest of a response that `to_bytes` returned."""
        head, body = ResponseHead.deserialize(stored)
        if self.ended:
            return
        if not self.started:
            self.start(head)
        if rest := body[sum(map(len, self._chunks.after(0))) :]:
            self.append(rest)
        self.end()

    def bytes_from(self, number: int) -> bytes:
        """Return the body written so far, without its first `number` chunks."""
        return b"".join(self._chunks.after(number))

    @property
    def chunk_count(self) -> int:
        return len(self._chunks)

    async def wait_for_more(self, number: int) -> None:
        """Return once there are more than `number` chunks, or the body is complete."""
        await self._chunks.wait_beyond(number)


def _mark_retrieved(head: asyncio.Future[ResponseHead]) -> None:
    """Prevent asyncio from logging an exception that was never retrieved."""
    if not head.cancelled():
        head.exception()
