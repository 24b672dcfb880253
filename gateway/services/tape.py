"""An answer as it is made, for all who asked for it: whoever comes later hears it from the beginning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gateway.domain.idempotency import Head


class Tape:
    """One writer, any number of listeners, each at its own place; nothing is kept for each of them."""

    def __init__(self) -> None:
        self._head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._head.add_done_callback(_seen)
        self._chunks: list[bytes] = []
        self._more: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self.ended = False

    async def head(self) -> Head:
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
            await self._next()
        if self._failure is not None:
            raise self._failure

    async def body(self) -> bytes:
        """All of the body, once there is no more."""
        return b"".join([chunk async for chunk in self.chunks()])

    @property
    def begun(self) -> bool:
        return self._head.done()

    def begin(self, head: Head) -> None:
        """Tell how the answer begins."""
        self._head.set_result(head)

    def add(self, chunk: bytes) -> None:
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

    def whole(self) -> bytes:
        """Head and body as they are kept; of a tape that has ended well."""
        return self._head.result().with_body(b"".join(self._chunks))

    def finish(self, kept: bytes) -> None:
        """Tell all of an answer that `whole` gave, or what is left of it."""
        head, body = Head.and_body(kept)
        if self.ended:
            return
        if not self.begun:
            self.begin(head)
        if rest := body[sum(map(len, self._chunks)) :]:
            self.add(rest)
        self.end()

    def since(self, number: int) -> bytes:
        """The body behind the chunk of this number, as far as there is any."""
        return b"".join(self._chunks[number:])

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return len(self._chunks)

    async def more(self, number: int) -> None:
        """Return once there are more chunks than `number`, or all."""
        while len(self._chunks) <= number and not self.ended:
            await self._next()

    async def _next(self) -> None:
        if self._more is None or self._more.done():
            self._more = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._more)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


def _seen(head: asyncio.Future[Head]) -> None:
    """A failure that nobody waited for is no news to the event loop."""
    if not head.cancelled():
        head.exception()
