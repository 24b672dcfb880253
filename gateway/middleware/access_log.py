"""The access log: one line per request."""

from __future__ import annotations

import structlog

from gateway.middleware.metrics import UNMATCHED, route_template
from gateway.middleware.request_record import RequestRecord, is_probe

log = structlog.get_logger("gateway.access")

_MAX_PATH_LENGTH = 512
_LOGGED_STATE = ("upstream", "model", "fallback_model", "code")


def log_request(record: RequestRecord) -> None:
    """Log a finished request.

    Routes fill in the request's outcome. The query string is left out: it may contain secrets.
    """
    state = record.scope["state"]
    principal = state.get("principal")
    user_id = state.get("user_id") or getattr(principal, "user_id", None)
    path = record.path
    fields = {name: state[name] for name in _LOGGED_STATE if state.get(name) is not None}
    if (template := route_template(record.scope)) != UNMATCHED:
        fields["route"] = template
    status = record.final_status
    failed = status >= 500 or record.rejected_status is not None
    log_at_level = log.debug if is_probe(path) else log.warning if failed else log.info
    log_at_level(
        "request",
        request_id=record.context.request_id,
        trace_id=record.context.trace_id,
        user_id=str(user_id) if user_id is not None else None,
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
