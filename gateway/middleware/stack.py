"""Installs the middleware, and the outermost one that tracks every request."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.core.metrics.registry import in_flight_requests
from gateway.core.request_context import bind_request, unbind_request
from gateway.core.settings import Settings
from gateway.domain.request_outcome import RequestOutcome
from gateway.middleware.access_log import log_request
from gateway.middleware.allowed_hosts import AllowedHosts
from gateway.middleware.body_limit import BodyLimitMiddleware
from gateway.middleware.client_ip import ClientAddresses
from gateway.middleware.errors import ErrorMiddleware
from gateway.middleware.metrics import record_metrics
from gateway.middleware.rate_limit_headers import rate_limit_headers
from gateway.middleware.request_context import begin_request
from gateway.middleware.security_headers import EXPOSED_HEADERS
from gateway.middleware.tracing import annotate_span

_CONNECTION_CLOSE = (b"connection", b"close")


def install_middleware(app: FastAPI, settings: Settings) -> None:
    """Wrap `app` with request tracking, CORS, body limit and errors, outermost first.

    Raises:
        ValueError: `TRUSTED_PROXIES` contains something other than addresses and networks, or `ALLOWED_HOSTS`
            something other than host names.
    """
    app.state.closing_connections = False  # set on SIGTERM if a proxy can send requests to other workers
    addresses = ClientAddresses(settings.trusted_proxies)
    app.add_middleware(ErrorMiddleware, hosts=AllowedHosts(settings.allowed_hosts, addresses))
    app.add_middleware(BodyLimitMiddleware)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
            # A wildcard together with credentials would let any page act as the signed-in user.
            allow_credentials="*" not in settings.allowed_origins,
            max_age=600,
        )
    app.add_middleware(RequestMiddleware, addresses=addresses)
    app.router.redirect_slashes = False


class RequestMiddleware:
    """Tracks each request: ids, response headers, log line and metrics.

    Bodies pass through unbuffered; only the first response message is changed.
    """

    def __init__(self, app: ASGIApp, addresses: ClientAddresses) -> None:
        self.app = app
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record = begin_request(scope, self.addresses)  # type: ignore[arg-type]
        outcome = RequestOutcome.of(scope)

        async def receive_wrapper() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not record.response_complete:
                record.client_disconnected = True
            return message

        async def send_wrapper(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                limits = rate_limit_headers(outcome.principal.limits) if outcome.principal is not None else ()
                message["headers"] = [*message.get("headers", ()), *record.headers, *limits]
                if scope["app"].state.closing_connections:
                    message["headers"].append(_CONNECTION_CLOSE)
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                record.response_complete = True
            await send(message)

        token = bind_request(record.context)
        in_flight_requests.inc()
        try:
            with record.span:
                try:
                    await self.app(scope, receive_wrapper, send_wrapper)
                finally:
                    annotate_span(record)
        finally:
            in_flight_requests.dec()
            unbind_request(token)
            if outcome.on_finished is not None:
                outcome.on_finished()
            record_metrics(record)
            log_request(record)
