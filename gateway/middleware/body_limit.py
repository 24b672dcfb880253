"""Limits request bodies to 10 MiB or the route's own limit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.body_limit import LARGE_BODY, RequestBodyLimit, attach_body_limit
from gateway.core.exceptions import BodyTooLarge
from gateway.dialects.errors import error_response_parts

LINGER_SECONDS: Final = 10.0
_MAX_DIGITS: Final = 19


class BodyLimitMiddleware:
    """Answers 413 as soon as the announced or received body exceeds `limit` bytes.

    Nothing is buffered. A body that grows past the limit fails in the route's `receive`. A route lowers the
    limit before it reads the body (`core.body_limit`).
    """

    def __init__(self, app: ASGIApp, limit: int = LARGE_BODY) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = announced_length(scope) if scope["type"] == "http" else None
        if announced is None:
            await self.app(scope, receive, send)
            return
        if announced > self.limit:
            status, headers, body = error_response_parts(BodyTooLarge(), scope["state"]["request_id"])
            await Response(body, status, headers)(scope, receive, send_then_drain(receive, send))
            return
        allowance = RequestBodyLimit(self.limit, announced)
        attach_body_limit(scope, allowance)
        received = 0
        send_rejection = send_then_drain(receive, send)

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                allowance.record_received(received)
            return message

        async def send_limited(message: Message) -> None:
            await (send_rejection if allowance.exceeded else send)(message)

        await self.app(scope, receive_limited, send_limited)


def announced_length(scope: Scope) -> int | None:
    """Return the announced body length in bytes, 0 if chunked, None without a body."""
    length: int | None = None
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return 0
        if name == b"content-length":
            # Leading zeros could exceed the digits that `int` accepts.
            length = int(value.lstrip(b"0")[:_MAX_DIGITS] or b"0") if value.isdigit() else 0
    return length


def send_then_drain(receive: Receive, send: Send) -> Send:
    """Wrap `send` to complete the response only after the client has stopped sending.

    Closing a socket with unread bytes resets the connection, and the reset may overtake the response. So the
    rest of the body is read and discarded for a while, as nginx does; the connection is not reused.
    """

    async def send_and_drain(message: Message) -> None:
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

    return send_and_drain
