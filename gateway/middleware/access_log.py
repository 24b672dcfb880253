"""The access log: one line per request."""

from __future__ import annotations

import structlog

from gateway.domain.request_outcome import RequestOutcome
from gateway.middleware.metrics import UNMATCHED, route_template
from gateway.middleware.request_record import RequestRecord, is_probe

log = structlog.get_logger("gateway.access")

_MAX_PATH_LENGTH = 512


def log_request(record: RequestRecord) -> None:
    """Log a finished request; the query string is left out, because it may contain secrets."""
    outcome = RequestOutcome.of(record.scope)
    path = record.path
    fields = outcome.log_fields()
    if outcome.error_code is not None:
        fields["code"] = outcome.error_code
    if (template := route_template(record.scope)) != UNMATCHED:
        fields["route"] = template
    status = record.final_status
    failed = status >= 500 or record.rejected_status is not None
    log_at_level = log.debug if is_probe(path) else log.warning if failed else log.info
    log_at_level(
        "request",
        request_id=record.context.request_id,
        trace_id=record.context.trace_id,
        user_id=str(outcome.principal.user_id) if outcome.principal is not None else None,
        method=record.method,
        path=truncate_path(path),
        status=status,
        duration_ms=round(record.elapsed_seconds() * 1000, 2),
        client_ip=record.client_ip,
        **fields,
    )


def truncate_path(path: str) -> str:
    """Return the path, truncated for a log line."""
    return path if len(path) <= _MAX_PATH_LENGTH else path[:_MAX_PATH_LENGTH] + "…"
