"""The one log line of a failed turn or request: what an operator needs to find out why."""

from __future__ import annotations

import structlog

from gateway.core.exceptions import GatewayError
from gateway.providers.errors.reason import status_and_reason

log = structlog.get_logger(__name__)


def log_failure(event: str, error: GatewayError, request_id: str) -> None:
    """Warn with the error's code, the provider and model that caused it, and what the provider said."""
    upstream, model = error.last_upstream or (None, None)
    status, reason = status_and_reason(error)
    log.warning(
        event,
        request_id=request_id,
        code=error.code,
        upstream=upstream,
        model=model,
        upstream_status=status,
        reason=reason,
    )
