"""The log line of a failed turn or request."""

from __future__ import annotations

import structlog

from gateway.core.exceptions import GatewayError
from gateway.providers.errors.reason import status_and_reason

log = structlog.get_logger(__name__)


def log_failure(event: str, error: GatewayError, request_id: str) -> None:
    """Log a warning with the error's code, its upstream and the provider's reason."""
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
