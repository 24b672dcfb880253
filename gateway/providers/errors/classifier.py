"""Classifies provider errors.

The class of an error says who is at fault, and whether a retry or another model can help.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamReply,
    UpstreamTooLarge,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.providers.errors import body as complaints
from gateway.providers.errors.body import extract_error_details, parse_error_body
from gateway.providers.errors.phrases import (
    indicates_access_denied,
    indicates_content_filter,
    indicates_context_overflow,
    indicates_insufficient_credit,
    indicates_overload,
    indicates_permanent_limit,
    indicates_rate_limit,
    indicates_unknown_model,
)

MAX_RETRY_AFTER = complaints.MAX_RETRY_AFTER_SECONDS

# Every other 4xx is a fault of the configuration or of the provider: callers of the gateway do not choose the
# method, path, host or headers.
_RATE_LIMIT_STATUSES = frozenset({429})
_ACCOUNT_STATUSES = frozenset({401, 402, 403, 407, 451})
_TRANSIENT_STATUSES = frozenset({408, 409, 423, 425, 498, 499})
# Only the body says what is wrong.
_AMBIGUOUS_STATUSES = frozenset({400, 413, 422})


_ANTHROPIC_STREAM_STATUS = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
}


def classify_response(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """Return the gateway error for a provider's HTTP error.

    `upstream` has its status and message.

    Args:
        retry_after: seconds that the provider asks to wait.
    """
    details = parse_error_body(body)
    error = _classify(
        status, details.searchable_text, details.retry_after if retry_after is None else retry_after
    )
    error.upstream_reply = UpstreamReply(status, details.message, details.param)
    return error


def classify_stream_error(data: Mapping[str, Any]) -> GatewayError:
    """Return the gateway error for an error object within a stream that began with HTTP 200.

    The request is never at fault, because it was accepted. An unknown error means an interrupted answer.
    """
    details = extract_error_details(data)
    inner = data.get("error")
    error_fields = inner if isinstance(inner, Mapping) else data
    kind, code = error_fields.get("type"), error_fields.get("code")
    status = _ANTHROPIC_STREAM_STATUS.get(kind) if isinstance(kind, str) else None
    if status is None and isinstance(code, int | str) and str(code).isdigit() and 400 <= int(code) < 600:
        status = int(code)
    # Without a status the text decides, as it does for HTTP 400.
    error = _classify(status or 400, details.searchable_text, details.retry_after)
    if isinstance(error, UpstreamRejected | UpstreamUnavailable | UpstreamTooLarge):
        error = UpstreamBroken()
    error.upstream_reply = UpstreamReply(status, details.message, details.param)
    return error


def _classify(status: int, text: str, retry_after: float | None) -> GatewayError:
    if status in _RATE_LIMIT_STATUSES:
        if retry_after is None and indicates_permanent_limit(text):
            return UpstreamUnauthorized()
        return UpstreamRateLimited(retry_after=retry_after)
    if status == 403 and indicates_content_filter(text):
        return UpstreamRejected()
    if status in _ACCOUNT_STATUSES:
        return UpstreamUnauthorized()
    if status in _TRANSIENT_STATUSES:
        return UpstreamUnavailable(retry_after=retry_after)
    if status in _AMBIGUOUS_STATUSES or status == 500:
        found = _classify_by_text(status, text, retry_after)
        if found is not None:
            return found
    if status == 413:
        return UpstreamTooLarge()
    if status in (400, 422):
        return UpstreamRejected()
    if 400 <= status < 500:
        return UpstreamUnavailable(_MODEL_NOT_FOUND if status in (404, 410) else None, transient=False)
    if status >= 500:
        return UpstreamUnavailable(retry_after=retry_after)
    return UpstreamBroken()


_MODEL_NOT_FOUND = (
    "The model's provider does not have this model. Ask an administrator to check the configuration."
)


def _classify_by_text(status: int, text: str, retry_after: float | None) -> GatewayError | None:
    """Classify a 400, 413, 422 or 500 by its text; None if the status has to decide."""
    if status != 500:
        if indicates_access_denied(text) or indicates_insufficient_credit(text):
            return UpstreamUnauthorized()
        if indicates_rate_limit(text):
            return UpstreamRateLimited(retry_after=retry_after)
        if indicates_overload(text):
            return UpstreamUnavailable(retry_after=retry_after)
    if indicates_context_overflow(text):
        return ContextLengthExceeded()
    if status != 500 and indicates_unknown_model(text):
        return UpstreamUnavailable(_MODEL_NOT_FOUND, transient=False)
    return None
