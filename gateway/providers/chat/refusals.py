"""Classify a provider's error response: whose fault it is, and whether another model may answer instead."""

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
from gateway.providers.chat import complaints
from gateway.providers.chat.complaints import complaint_of, read_complaint
from gateway.providers.chat.refusal_words import (
    lasting_limit,
    says_busy,
    says_flagged,
    says_limited,
    says_no_model,
    says_no_money,
    says_not_welcome,
    says_too_long,
)

MAX_RETRY_AFTER = complaints.MAX_RETRY_AFTER

# Statuses by themselves. Every other 4xx is a fault of the configuration or of the provider: no caller of the
# gateway chooses the method, the path, the host or the headers.
_LIMITED = frozenset({429})
_OPERATOR = frozenset({401, 402, 403, 407, 451})
_TRANSIENT = frozenset({408, 409, 423, 425, 498, 499})
# What is wrong with these is only in the body.
_OF_THE_REQUEST = frozenset({400, 413, 422})


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


def error_of(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """The named error for a provider's HTTP error; its `upstream` holds the status and the provider's words.

    Args:
        retry_after: seconds that the provider asks to wait.
    """
    complaint = read_complaint(body)
    error = _classified(status, complaint.text, complaint.retry_after if retry_after is None else retry_after)
    error.upstream = UpstreamReply(status, complaint.message, complaint.param)
    return error


def error_in_stream(data: Mapping[str, Any]) -> GatewayError:
    """The named error for an error object in the middle of a stream that began with HTTP 200.

    It is never the caller's request: that was accepted. An unknown word means that the answer broke off.
    """
    complaint = complaint_of(data)
    inner = data.get("error")
    error_fields = inner if isinstance(inner, Mapping) else data
    kind, code = error_fields.get("type"), error_fields.get("code")
    status = _ANTHROPIC_STREAM_STATUS.get(kind) if isinstance(kind, str) else None
    if status is None and isinstance(code, int | str) and str(code).isdigit() and 400 <= int(code) < 600:
        status = int(code)
    # Without a status the words decide, as those of a refused request do.
    error = _classified(status or 400, complaint.text, complaint.retry_after)
    if isinstance(error, UpstreamRejected | UpstreamUnavailable | UpstreamTooLarge):
        error = UpstreamBroken()
    error.upstream = UpstreamReply(status, complaint.message, complaint.param)
    return error


def _classified(status: int, text: str, retry_after: float | None) -> GatewayError:
    if status in _LIMITED:
        if retry_after is None and lasting_limit(text):
            return UpstreamUnauthorized()
        return UpstreamRateLimited(retry_after=retry_after)
    if status == 403 and says_flagged(text):
        return UpstreamRejected()
    if status in _OPERATOR:
        return UpstreamUnauthorized()
    if status in _TRANSIENT:
        return UpstreamUnavailable(retry_after=retry_after)
    if status in _OF_THE_REQUEST or status == 500:
        found = _by_words(status, text, retry_after)
        if found is not None:
            return found
    if status == 413:
        return UpstreamTooLarge()
    if status in (400, 422):
        return UpstreamRejected()
    if 400 <= status < 500:
        return UpstreamUnavailable(_NOT_OFFERED if status in (404, 410) else None, transient=False)
    if status >= 500:
        return UpstreamUnavailable(retry_after=retry_after)
    return UpstreamBroken()


_NOT_OFFERED = (
    "The model's provider does not have this model. Ask an administrator to check the configuration."
)


def _by_words(status: int, text: str, retry_after: float | None) -> GatewayError | None:
    """What the words of a 400, 413, 422 or 500 mean, where they mean more than the status."""
    if status != 500:
        if says_not_welcome(text) or says_no_money(text):
            return UpstreamUnauthorized()
        if says_limited(text):
            return UpstreamRateLimited(retry_after=retry_after)
        if says_busy(text):
            return UpstreamUnavailable(retry_after=retry_after)
    if says_too_long(text):
        return ContextLengthExceeded()
    if status != 500 and says_no_model(text):
        return UpstreamUnavailable(_NOT_OFFERED, transient=False)
    return None
