"""What the server's span tells of a request; the query is left out, as in the log."""

from __future__ import annotations

from gateway.middleware.exchange import Exchange
from gateway.middleware.metrics import UNMATCHED, route_template

_NAMED = ("upstream", "model", "fallback_model")


def describe_span(exchange: Exchange) -> None:
    """Complete the span of a finished exchange."""
    span = exchange.span
    if not span.recording:
        return
    route, state = route_template(exchange.scope), exchange.scope["state"]
    principal = state.get("principal")
    # A path that no route has is whatever somebody typed.
    known = route != UNMATCHED
    span.name(f"{exchange.method} {route}" if known else exchange.method)
    span.set(
        {
            "http.request.method": exchange.method,
            "http.route": route if known else None,
            "url.path": exchange.path[:512] if known else None,
            "url.scheme": exchange.scope.get("scheme"),
            "http.response.status_code": exchange.outcome,
            "client.address": exchange.client_ip,
            "user.id": str(principal.user_id) if principal is not None else None,
            "gateway.request_id": exchange.context.request_id,
            **{f"gateway.{name}": str(state[name]) for name in _NAMED if state.get(name) is not None},
        }
    )
    if exchange.outcome >= 500:
        span.fail(str(exchange.outcome))
