"""What no route and no handler caught still leaves as one of the gateway's errors, and is logged once."""

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
    """Answers for errors outside the routes, and refuses what no route can mean: NUL in an address, and
    names in the Host header that are not this gateway's.

    An error after the headers cannot be answered any more; the connection then ends without its end
    marker, which is what tells the client.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts | None = None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = cast(RequestRecord, scope["state"]["exchange"])
        try:
            reject_nul(scope)
            if self.hosts is not None:
                self.hosts.check(scope)  # type: ignore[arg-type]
            await self.app(scope, receive, send)
        except ClientDisconnect:
            record.client_disconnected = True
        except Exception as error:  # the last door: logged and rendered, never passed on
            failure = as_gateway_error(error)
            if failure.status == 500:
                log.error("unhandled_error", exc_info=error)
            elif record.status is not None:
                log.error("error_after_headers", code=failure.code, exc_info=error)
            if record.status is None:
                status, headers, body = error_response_parts(failure, record.context.request_id)
                await Response(body, status, headers)(scope, receive, send)


def reject_nul(scope: Scope) -> None:
    """Raise what an address with NUL in it deserves: no such path, or a query that is not valid."""
    if "\x00" in scope["path"]:
        raise NotFound
    if b"%00" in scope["query_string"]:
        raise ValidationFailed("The query has a NUL character in a text.")


def as_gateway_error(error: Exception) -> GatewayError:
    """The named error that an unnamed one means at the edge."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 413:
        return BodyTooLarge()
    return GatewayError()
