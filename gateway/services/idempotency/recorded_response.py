"""An answer as it is made, for all who asked for it: whoever comes later hears it from the beginning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gateway.domain.idempotency import ResponseHead


class RecordedResponse:
    """One writer, any number of listeners, each at its own place; nothing is kept for each of them."""

    def __init__(self) -> None:
        self._head: asyncio.Future[ResponseHead] = asyncio.get_running_loop().create_future()
        self._head.add_done_callback(_mark_retrieved)
        self._chunks: list[bytes] = []
        self._changed: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self.ended = False

    async def head(self) -> ResponseHead:
        """How the answer begins, once it does.

        Raises:
            whatever it failed with before that.
        """
        return await asyncio.shield(self._head)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body from its beginning, as it comes.

        Raises:
            whatever it failed with in its middle.
        """
        at = 0
        while True:
            while at < len(self._chunks):
                yield self._chunks[at]
                at += 1
            if self.ended:
                break
            await self._wait_for_change()
        if self._failure is not None:
            raise self._failure

    async def read_body(self) -> bytes:
        """All of the body, once there is no more."""
        return b"".join([chunk async for chunk in self.chunks()])

    @property
    def started(self) -> bool:
        return self._head.done()

    def start(self, head: ResponseHead) -> None:
        """Tell how the answer begins."""
        self._head.set_result(head)

    def append(self, chunk: bytes) -> None:
        """Tell more of the body."""
        self._chunks.append(chunk)
        self._wake()

    def end(self) -> None:
        """That was all."""
        self.ended = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """There is no (more) answer."""
        if self._head.done():
            self._failure = error
        else:
            self._head.set_exception(error)
        self.end()

    def to_bytes(self) -> bytes:
        """Head and body as they are kept; of a tape that has ended well."""
        return self._head.result().serialize(b"".join(self._chunks))

    def complete_from(self, stored: bytes) -> None:
        """Tell all of an answer that `whole` gave, or what is left of it."""
        head, body = ResponseHead.deserialize(stored)
        if self.ended:
            return
        if not self.started:
            self.start(head)
        if rest := body[sum(map(len, self._chunks)) :]:
            self.append(rest)
        self.end()

    def bytes_from(self, number: int) -> bytes:
        """The body behind the chunk of this number, as far as there is any."""
        return b"".join(self._chunks[number:])

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""
        return len(self._chunks)

    async def wait_for_more(self, number: int) -> None:
        """Return once there are more chunks than `number`, or all."""
        while len(self._chunks) <= number and not self.ended:
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


def _mark_retrieved(head: asyncio.Future[ResponseHead]) -> None:
    """A failure that nobody waited for is no news to the event loop."""
    if not head.cancelled():
        head.exception()
