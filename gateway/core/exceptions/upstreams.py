"""Failures of providers, of circuit breakers and of the gateway's own services."""

from __future__ import annotations

from typing import Any

from gateway.core.exceptions.base import GatewayError
from gateway.core.exceptions.requests import InvalidRequest


class UpstreamRejected(InvalidRequest):
    code = "upstream_rejected"
    default_message = "The provider rejected the request as invalid."


class UpstreamTooLarge(UpstreamRejected):
    """The provider's own body size limit; another provider may have a larger one."""

    default_message = "The provider rejected the request as too large. Send a smaller request."


class UpstreamError(GatewayError):
    """A model's provider failed; the turn's receipt names it.

    `usage` is the usage (`gateway.domain.money`) that the provider reported before it failed.
    """

    usage: Any = None

    status = 502
    type = "upstream_error"
    code = "upstream_failed"
    retryable = True
    default_message = "The model's provider failed to answer."


class UpstreamUnavailable(UpstreamError):
    """The provider is unreachable or failing.

    Not `transient` if the same call cannot succeed a moment later: nothing listens, or no such model.
    """

    default_message = "The model's provider cannot be reached or is failing."

    def __init__(
        self, message: str | None = None, *, retry_after: float | None = None, transient: bool = True
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.transient = transient


class UpstreamBroken(UpstreamError):
    default_message = "The model's provider sent a truncated or malformed answer."


class UpstreamRateLimited(UpstreamError):
    status = 429
    type = "rate_limit_error"
    code = "upstream_rate_limited"
    default_message = "The model's provider limits the gateway's requests. Try again later."


class UpstreamUnauthorized(UpstreamError):
    """The provider refuses the gateway itself: its key, its balance or its region."""

    retryable = False
    default_message = (
        "The model's provider refused the gateway's account. "
        "Ask an administrator to check its key and its balance."
    )


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"
    default_message = "The model's provider took too long to answer."


class Unavailable(GatewayError):
    status = 503
    type = "unavailable_error"
    code = "overloaded"
    retryable = True
    default_message = "The gateway cannot serve this request at the moment. Try again later."


class CircuitOpen(Unavailable):
    code = "circuit_open"
    default_message = (
        "This model's provider failed repeatedly, so it is not called for a while. "
        "Try again later or choose another model."
    )
