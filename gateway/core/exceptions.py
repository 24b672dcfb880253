"""Every error the gateway can answer with, as one tree of named business facts.

GatewayError                     500 server_error          internal_error
├── InvalidRequest               400 invalid_request_error invalid_request
│   ├── UnsupportedParameter     400                       unsupported_parameter
│   ├── ContextLengthExceeded    400                       context_length_exceeded
│   ├── ContentBlocked           400                       content_blocked
│   ├── UpstreamRejected         400                       upstream_rejected   (the vendor blames the caller)
│   │   └── UpstreamTooLarge     400                       (its limit of bytes; another may have a larger one)
│   ├── RequestTimeout           408                       request_timeout
│   ├── BodyTooLarge             413                       body_too_large
│   ├── UnsupportedMediaType     415                       unsupported_media_type
│   ├── ValidationFailed         422                       validation_failed
│   ├── IdempotencyMismatch      422                       idempotency_mismatch
│   └── HeadersTooLarge          431                       headers_too_large
├── AuthenticationFailed         401 authentication_error  invalid_credentials
│   ├── TokenExpired             401                       token_expired
│   ├── TokenInvalid             401                       token_invalid
│   ├── TokenReused              401                       token_reused
│   └── InvalidApiKey            401                       invalid_api_key
├── PermissionDenied             403 permission_error      forbidden
│   ├── ScopeMissing             403                       scope_missing
│   ├── ModelNotAllowed          403                       model_not_allowed
│   └── AccountDisabled          403                       account_disabled
├── NotFound                     404 not_found_error       not_found
│   └── ModelNotFound            404                       model_not_found
├── MethodNotAllowed             405 invalid_request_error method_not_allowed
├── Conflict                     409 conflict_error        conflict
│   ├── EmailTaken               409                       email_taken
│   ├── LastAdmin                409                       last_admin
│   └── TurnInProgress           409                       turn_in_progress
├── RateLimited                  429 rate_limit_error      rate_limited
│   ├── QuotaExceeded            429                       quota_exceeded      (tokens a day)
│   │   └── StorageFull          429                       quota_exceeded      (what the account stores)
│   ├── BudgetExceeded           429                       budget_exceeded     (money)
│   └── TooManyAttempts          429                       too_many_attempts
├── UpstreamError                502 upstream_error        upstream_failed
│   ├── UpstreamUnavailable      502                       (refused, reset, 5xx, 404: nothing was said)
│   ├── UpstreamBroken           502                       (cut or garbage: it stopped being a valid answer)
│   ├── UpstreamRateLimited      429 rate_limit_error      upstream_rate_limited (carries its retry_after)
│   ├── UpstreamUnauthorized     502                       (our credentials, balance or region were refused)
│   └── UpstreamTimeout          504                       upstream_timeout
└── Unavailable                  503 unavailable_error     overloaded
    └── CircuitOpen              503                       circuit_open

Raise where the fact is known; `dialects.errors.render_error` renders it, in one place. `message` is for
people and must never hold input, secrets or a vendor's raw answer; `code` is stable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """What a provider said when it failed, for operators: never part of a message as it is.

    Attributes:
        status: HTTP status; None where there was no HTTP answer.
        reason: the provider's own words, or the network's; may hold input and keys until it is redacted
            (`providers.errors.reason.redact_reason`).
        param: the field that the provider names.
    """

    status: int | None = None
    reason: str = ""
    param: str | None = None


class GatewayError(Exception):
    """Base of all named errors.

    Attributes:
        status: HTTP status of an answer that carries it.
        type, code: the stable names of CONTRACT §5.
        message: a sentence for people.
        param: path of the invalid field, where there is one.
        retryable: whether the same request may succeed later (drives `x-should-retry`).
        retry_after: seconds to wait, where that is known.
        charged: whether something was charged before it failed.
        details: further fields of the error's body.
        asked: the provider and the model that were asked last, for the log; None where none was.
        upstream: what the provider said, for the log and the ledger; None where no provider failed.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "The gateway failed to handle this request."

    def __init__(
        self, message: str | None = None, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        self.message = message or self.default_message
        self.param = param
        self.retry_after = retry_after
        self.charged = False
        self.details: dict[str, str] = {}
        self.last_upstream: tuple[str, str] | None = None
        self.upstream_reply: UpstreamReply | None = None
        super().__init__(self.message)


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    default_message = "The request is not valid."


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"
    default_message = "The chosen model does not support this parameter."


class ContextLengthExceeded(InvalidRequest):
    """The message holds the words and the code by which clients recognise that they have to shorten."""

    code = "context_length_exceeded"
    default_message = (
        "This model's maximum context length is exceeded. Shorten the input and try again. "
        "(context_length_exceeded)"
    )

    @classmethod
    def for_request(cls, tokens: int, window: int, *, param: str = "messages") -> ContextLengthExceeded:
        """The error with its numbers.

        Args:
            tokens: estimate of what the request needs. window: tokens that the model has room for.
        """
        needs = f"needs about {tokens} tokens"
        if tokens <= window:  # the provider counts more than the gateway does
            needs = f"is too long for the provider, though about {tokens} tokens by the gateway's count"
        return cls(
            f"This model's maximum context length is {window} tokens. However, the request {needs}. "
            "Shorten the messages and try again. (context_length_exceeded)",
            param=param,
        )


class ContentBlocked(InvalidRequest):
    code = "content_blocked"
    default_message = "A guardrail blocked this request."


class UpstreamRejected(InvalidRequest):
    code = "upstream_rejected"
    default_message = "The provider refused the request as invalid."


class UpstreamTooLarge(UpstreamRejected):
    """The provider's own limit of a body's size; another provider may have a larger one."""

    default_message = "The provider refused the request as too large. Send a smaller request."


class RequestTimeout(InvalidRequest):
    status = 408
    code = "request_timeout"
    retryable = True
    default_message = "The request did not arrive completely in time. Send it again."


class BodyTooLarge(InvalidRequest):
    status = 413
    code = "body_too_large"
    default_message = "The request body is larger than this route accepts. Send a smaller one."


class UnsupportedMediaType(InvalidRequest):
    status = 415
    code = "unsupported_media_type"
    default_message = "The request body must be application/json."


class ValidationFailed(InvalidRequest):
    status = 422
    code = "validation_failed"
    default_message = "The request body is not valid."


class IdempotencyMismatch(InvalidRequest):
    status = 422
    code = "idempotency_mismatch"
    default_message = "This Idempotency-Key was used for another request; take a new one."


class HeadersTooLarge(InvalidRequest):
    status = 431
    code = "headers_too_large"
    default_message = "The request's address and headers are larger than 64 KiB. Send fewer or shorter ones."


class AuthenticationFailed(GatewayError):
    status = 401
    type = "authentication_error"
    code = "invalid_credentials"
    default_message = "The credentials are missing or wrong."


class TokenExpired(AuthenticationFailed):
    code = "token_expired"
    default_message = "The access token has expired; refresh it or sign in again."


class TokenInvalid(AuthenticationFailed):
    code = "token_invalid"
    default_message = "The token is not valid."


class TokenReused(AuthenticationFailed):
    code = "token_reused"
    default_message = "This refresh token was used before; the session has been ended. Sign in again."


class InvalidApiKey(AuthenticationFailed):
    code = "invalid_api_key"
    default_message = "The API key is not valid."


class PermissionDenied(GatewayError):
    status = 403
    type = "permission_error"
    code = "forbidden"
    default_message = "This account may not do that."


class ScopeMissing(PermissionDenied):
    code = "scope_missing"
    default_message = "The API key lacks the scope that this route needs."


class ModelNotAllowed(PermissionDenied):
    code = "model_not_allowed"
    default_message = "The API key may not use this model."


class AccountDisabled(PermissionDenied):
    code = "account_disabled"
    default_message = "This account is disabled."


class NotFound(GatewayError):
    status = 404
    type = "not_found_error"
    code = "not_found"
    default_message = "It does not exist, or belongs to another account."


class UnsupportedEndpoint(NotFound):
    """A path of a vendor's API that the gateway does not offer."""

    code = "unsupported_endpoint"
    default_message = "This endpoint is not offered here. GET /docs shows what is."
    retryable = False


class ModelNotFound(NotFound):
    code = "model_not_found"
    default_message = "No model or alias has this name; GET /v1/models lists them."


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"
    default_message = "This path does not answer to that method."


class Conflict(GatewayError):
    status = 409
    type = "conflict_error"
    code = "conflict"
    default_message = "The request conflicts with the present state."


class EmailTaken(Conflict):
    code = "email_taken"
    default_message = "An account with this e-mail address exists already."


class LastAdmin(Conflict):
    code = "last_admin"
    default_message = "The last active admin cannot be changed or deleted."


class TurnInProgress(Conflict):
    code = "turn_in_progress"
    default_message = "This conversation is still answering; wait for it or cancel it."

    def __init__(
        self, message: str | None = None, *, param: str | None = None, message_id: UUID | None = None
    ) -> None:
        """`message_id` is the answer that is being written, as far as there is one."""
        super().__init__(message, param=param)
        if message_id is not None:
            self.details["message_id"] = str(message_id)


class RateLimited(GatewayError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limited"
    retryable = True
    default_message = "Too many requests."


class QuotaExceeded(RateLimited):
    code = "quota_exceeded"
    retryable = False
    default_message = "This account's tokens for today are used up or reserved by requests under way."


class StorageFull(QuotaExceeded):
    """Waiting does not help: the account has to delete something."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"This account's storage of {limit_bytes // 1_000_000:,} MB is full. Delete conversations or"
            " images, or ask an administrator for another tier."
        )


class BudgetExceeded(RateLimited):
    code = "budget_exceeded"
    retryable = False
    default_message = "This account's money for this month is used up or reserved by requests under way."


class TooManyAttempts(RateLimited):
    code = "too_many_attempts"
    default_message = "Too many failed sign-ins; wait before the next one."


class UpstreamError(GatewayError):
    """A model's provider failed; which one is on the turn's receipt.

    `counted` is the usage (`gateway.domain.money.Usage`) that the provider reported before it failed.
    """

    usage: Any = None

    status = 502
    type = "upstream_error"
    code = "upstream_failed"
    retryable = True
    default_message = "The model's provider failed to answer."


class UpstreamUnavailable(UpstreamError):
    """Not `transient` where the same call cannot succeed a moment later: nobody listens, no such model."""

    default_message = "The model's provider cannot be reached or is failing."

    def __init__(
        self, message: str | None = None, *, retry_after: float | None = None, transient: bool = True
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.transient = transient


class UpstreamBroken(UpstreamError):
    default_message = "The model's provider broke off or sent an answer that cannot be read."


class UpstreamRateLimited(UpstreamError):
    status = 429
    type = "rate_limit_error"
    code = "upstream_rate_limited"
    default_message = "The model's provider limits the gateway's requests. Try again later."


class UpstreamUnauthorized(UpstreamError):
    """The provider refuses the gateway itself: its key, its balance, its region. An operator solves it."""

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
    default_message = "The gateway cannot serve this request at the moment."


class CircuitOpen(Unavailable):
    code = "circuit_open"
    default_message = "This model's provider failed repeatedly and is left alone for a while."
