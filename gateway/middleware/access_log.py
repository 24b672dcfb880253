"""The one line that a request leaves in the log."""

from __future__ import annotations

import structlog

from gateway.middleware.exchange import Exchange, is_quiet
from gateway.middleware.metrics import UNMATCHED, route_template

log = structlog.get_logger("gateway.access")

_MAX_PATH = 512
_NAMED = ("upstream", "model", "fallback_model", "code")


def write_access_line(exchange: Exchange) -> None:
    """Log an exchange.

    Routes put `user_id` (or `principal`), `upstream`, `model` and `fallback_model` in the state, errors their
    `code`. The query is left out: it may hold what should not be kept.
    """
    state = exchange.scope["state"]
    principal = state.get("principal")
    user_id = state.get("user_id") or getattr(principal, "user_id", None)
    path = exchange.path
    fields = {name: state[name] for name in _NAMED if state.get(name) is not None}
    if (template := route_template(exchange.scope)) != UNMATCHED:
        fields["route"] = template
    status = exchange.outcome
    bad = status >= 500 or exchange.refused is not None
    write = log.debug if is_quiet(path) else log.warning if bad else log.info
    write(
        "request",
        request_id=exchange.context.request_id,
        trace_id=exchange.context.trace_id,
        user_id=str(user_id) if user_id is not None else None,
        method=exchange.method,
        path=shown_path(path),
        status=status,
        duration_ms=round(exchange.seconds() * 1000, 2),
        client_ip=exchange.client_ip,
        **fields,
    )


def shown_path(path: str) -> str:
    """The path as a log line shows it: bounded."""
    return path if len(path) <= _MAX_PATH else path[:_MAX_PATH] + "…"
