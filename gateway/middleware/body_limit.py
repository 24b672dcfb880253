"""No request body beyond 10 MiB, whether its length is announced or not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.exceptions import BodyTooLarge
from gateway.dialects.errors import error_response_parts

MAX_BODY_BYTES: Final = 10 * 1024 * 1024
LINGER_SECONDS: Final = 10.0


class BodyLimit:
    """Answers 413 as soon as a request's announced or received body passes `limit` bytes.

    Nothing is buffered here. A body that grows past the limit fails in the route's `receive`, with an
    `HTTPException`: the one class that FastAPI's own reading of a body lets through.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = body_length(scope) if scope["type"] == "http" else None
        if announced is None:
            await self.app(scope, receive, send)
            return
        if announced > self.limit:
            status, headers, body = error_response_parts(BodyTooLarge(), scope["state"]["request_id"])
            await Response(body, status, headers)(scope, receive, lingering(receive, send))
            return
        received = 0
        refuse = lingering(receive, send)

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.limit:
                    raise HTTPException(413)
            return message

        async def answer(message: Message) -> None:
            await (refuse if received > self.limit else send)(message)

        await self.app(scope, limited, answer)


def body_length(scope: Scope) -> int | None:
    """Bytes that the request announces (0 if chunked); None where it has no body."""
    length: int | None = None
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return 0
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
    return length


def lingering(receive: Receive, send: Send) -> Send:
    """A `send` that gives the whole answer at once and ends it only when the client has stopped sending.

    Closing a socket that still has unread bytes resets it, and the reset may overtake the answer. So what
    comes is read and dropped for a while, as nginx does; the connection is not used again.
    """

    async def patient(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        elif not message.get("more_body", False):
            await send({**message, "more_body": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while (await receive()).get("more_body", False):
                        pass
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    return patient
