"""No request body beyond 10 MiB, whether its length is announced or not."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.exceptions import BodyTooLarge

MAX_BODY_BYTES: Final = 10 * 1024 * 1024


class BodyLimit:
    """Ends a request with 413 as soon as its announced or received body passes `limit` bytes.

    Nothing is buffered here. An announced length fails before the route runs (`BodyTooLarge`); a body that
    grows past the limit fails in the route's `receive`, with an `HTTPException`: the one class that
    FastAPI's own reading of a body lets through.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = body_length(scope)
        if announced is None:
            await self.app(scope, receive, send)
            return
        if announced > self.limit:
            raise BodyTooLarge
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.limit:
                    raise HTTPException(413)
            return message

        await self.app(scope, limited, send)


def body_length(scope: Scope) -> int | None:
    """Bytes that the request announces (0 if chunked); None where it has no body."""
    length: int | None = None
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return 0
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
    return length
