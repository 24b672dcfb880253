"""Renders errors that no route or exception handler caught, and logs each once."""

from __future__ import annotations

from typing import cast

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.core.exceptions import BodyTooLarge, GatewayError, NotFound, ValidationFailed
from gateway.dialects.errors import error_response_parts
from gateway.middleware.allowed_hosts import AllowedHosts
from gateway.middleware.request_record import RequestRecord

log = structlog.get_logger(__name__)


class ErrorMiddleware:
    """Renders errors raised outside routes; rejects NUL in URLs and unknown hosts.

    After the headers are sent an error cannot be rendered; the connection is closed without its end marker,
    which tells the client.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts | None = None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = cast(RequestRecord, scope["state"]["request_record"])
        try:
            reject_nul(scope)
            if self.hosts is not None:
                self.hosts.check(scope)  # type: ignore[arg-type]
            await self.app(scope, receive, send)
        except ClientDisconnect:
            record.client_disconnected = True
        except Exception as error:  # last resort: logged and rendered, never re-raised
            failure = as_gateway_error(error)
            if failure.status == 500:
                log.error("request.unhandled_error", exc_info=error)
            elif record.status is not None:
                log.error("request.failed_after_headers", code=failure.code, exc_info=error)
            if record.status is None:
                status, headers, body = error_response_parts(failure, record.context.request_id)
                await Response(body, status, headers)(scope, receive, send)


def reject_nul(scope: Scope) -> None:
    """Reject NUL in the URL: no such path, or an invalid query."""
    if "\x00" in scope["path"]:
        raise NotFound
    if b"%00" in scope["query_string"]:
        raise ValidationFailed("The query contains a NUL character.")


def as_gateway_error(error: Exception) -> GatewayError:
    """Convert an unexpected error to the error that the client receives."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 413:
        return BodyTooLarge()
    return GatewayError()
