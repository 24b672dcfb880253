"""Attributes of the server span; the query string is left out, as in the log."""

from __future__ import annotations

from gateway.middleware.metrics import UNMATCHED, route_template
from gateway.middleware.request_record import RequestRecord

_SPAN_STATE = ("upstream", "model", "fallback_model")


def annotate_span(record: RequestRecord) -> None:
    """Set the attributes of a finished request's span."""
    span = record.span
    if not span.recording:
        return
    route, state = route_template(record.scope), record.scope["state"]
    principal = state.get("principal")
    # A path that matches no route is arbitrary client input.
    matched = route != UNMATCHED
    span.rename(f"{record.method} {route}" if matched else record.method)
    span.set_attributes(
        {
            "http.request.method": record.method,
            "http.route": route if matched else None,
            "url.path": record.path[:512] if matched else None,
            "url.scheme": record.scope.get("scheme"),
            "http.response.status_code": record.final_status,
            "client.address": record.client_ip,
            "user.id": str(principal.user_id) if principal is not None else None,
            "gateway.request_id": record.context.request_id,
            **{f"gateway.{name}": str(state[name]) for name in _SPAN_STATE if state.get(name) is not None},
        }
    )
    if record.final_status >= 500:
        span.set_error(str(record.final_status))
