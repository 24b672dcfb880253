"""The one log line of a failed turn or request: what an operator needs to find out why."""

from __future__ import annotations

import structlog

from gateway.core.exceptions import GatewayError

log = structlog.get_logger(__name__)


def log_failure(event: str, error: GatewayError, request_id: str) -> None:
    """Warn with the error's code, the provider and model that caused it, and what the provider said."""
    upstream, model = error.asked or (None, None)
    told = error.upstream
    log.warning(
        event,
        request_id=request_id,
        code=error.code,
        upstream=upstream,
        model=model,
        upstream_status=told.status if told is not None else None,
        reason=(told.reason if told is not None else "") or error.message,
    )
