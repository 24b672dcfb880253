"""Request and trace ids, taken from the client if they are well-formed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.core.request_context import new_request_context
from gateway.core.tracing import NOOP_SPAN, server_span
from gateway.middleware.client_ip import ClientAddresses
from gateway.middleware.request_record import RequestRecord, is_probe
from gateway.middleware.security_headers import SECURITY_HEADERS


def drop_backslash_cookies(scope: dict[str, Any]) -> None:
    """Remove cookies with a backslash from the scope's headers.

    The gateway sets none.

    FastAPI parses all cookies for every route, and Python before 3.12.6 needs quadratic time to unescape
    them: 13 s for 60 KB of backslashes.
    """
    headers = scope["headers"]
    if not any(name == b"cookie" and b"\\" in value for name, value in headers):
        return
    scope["headers"] = [
        (name, b";".join(pair for pair in value.split(b";") if b"\\" not in pair))
        if name == b"cookie"
        else (name, value)
        for name, value in headers
    ]


def begin_request(scope: dict[str, Any], addresses: ClientAddresses) -> RequestRecord:
    """Create the record of an HTTP request.

    Sets `request_id`, `trace_id` and `client_ip` in the scope's state, and strips trailing slashes from the
    path, so that `/x/` and `/x` are one route without a redirect.
    """
    drop_backslash_cookies(scope)
    state = scope.setdefault("state", {})
    traceparent = tracestate = None
    request_id: str | None = None
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            request_id = value.decode("latin-1")
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"tracestate":
            tracestate = value.decode("latin-1")
    client_ip = addresses.client_address(scope)
    addresses.apply_forwarded_headers(scope)
    # The HTTP protocol layer may have answered already, and used an id in its response.
    context = new_request_context(state.get("request_id") or request_id, traceparent, client_ip)
    path: str = scope["path"]
    span = NOOP_SPAN
    if not is_probe(path) and (traced := server_span(traceparent, tracestate)) is not None:
        span, trace_id, span_id, flags = traced
        context = replace(context, trace_id=trace_id, span_id=span_id, trace_flags=flags)
    if path.endswith("/") and path != "/":
        scope["path"] = path.rstrip("/") or "/"
    state["request_id"] = context.request_id
    state["trace_id"] = context.trace_id
    state["client_ip"] = client_ip
    headers = [
        (b"x-request-id", context.request_id.encode()),
        (b"x-trace-id", context.trace_id.encode()),
        (b"traceparent", context.traceparent.encode()),
        *SECURITY_HEADERS,
    ]
    record = RequestRecord(
        context=context, scope=scope, path=path, headers=headers, client_ip=client_ip, span=span
    )
    state["request_record"] = record
    return record
