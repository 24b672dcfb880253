"""Attributes of the server span; the query string is left out, as in the log."""

from __future__ import annotations

from gateway.domain.request_outcome import RequestOutcome
from gateway.middleware.metrics import UNMATCHED, route_template
from gateway.middleware.request_record import RequestRecord


def annotate_span(record: RequestRecord) -> None:
    """Set the attributes of a finished request's span."""
    span = record.span
    if not span.recording:
        return
    route, outcome = route_template(record.scope), RequestOutcome.of(record.scope)
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
            "user.id": str(outcome.principal.user_id) if outcome.principal is not None else None,
            "gateway.request_id": record.context.request_id,
            **{f"gateway.{name}": value for name, value in outcome.log_fields().items()},
        }
    )
    if record.final_status >= 500:
        span.set_error(str(record.final_status))
