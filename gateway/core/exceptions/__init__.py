"""Every error the gateway can answer with: one tree, a module per subject.

GatewayError                     500 server_error          internal_error
├── InvalidRequest               400 invalid_request_error invalid_request
│   ├── UnsupportedParameter     400                       unsupported_parameter
│   ├── ContextLengthExceeded    400                       context_length_exceeded
│   ├── ContentBlocked           400                       content_blocked
│   ├── UpstreamRejected         400                       upstream_rejected   (by the provider)
│   │   └── UpstreamTooLarge     400                       (its body size limit; others may differ)
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
│   ├── UnsupportedEndpoint      404                       unsupported_endpoint
│   └── ModelNotFound            404                       model_not_found
├── MethodNotAllowed             405 invalid_request_error method_not_allowed
├── Conflict                     409 conflict_error        conflict
│   ├── EmailTaken               409                       email_taken
│   ├── LastAdmin                409                       last_admin
│   └── TurnInProgress           409                       turn_in_progress
├── RateLimited                  429 rate_limit_error      rate_limited
│   ├── QuotaExceeded            429                       quota_exceeded      (tokens per day)
│   │   └── StorageFull          429                       quota_exceeded      (stored bytes)
│   ├── BudgetExceeded           429                       budget_exceeded     (money)
│   └── TooManyAttempts          429                       too_many_attempts
├── UpstreamError                502 upstream_error        upstream_failed
│   ├── UpstreamUnavailable      502                       (refused, reset, 5xx, 404: no output yet)
│   ├── UpstreamBroken           502                       (truncated or malformed answer)
│   ├── UpstreamRateLimited      429 rate_limit_error      upstream_rate_limited (carries its retry_after)
│   ├── UpstreamUnauthorized     502                       (the gateway's key, balance or region was refused)
│   └── UpstreamTimeout          504                       upstream_timeout
└── Unavailable                  503 unavailable_error     overloaded
    └── CircuitOpen              503                       circuit_open

Raise an error where the fact is known; `dialects.errors.render_error` renders it, in one place. `message` is
human-readable and must not contain input, secrets or a provider's raw answer; `code` is stable.
"""

from __future__ import annotations

from gateway.core.exceptions.access import (
    AccountDisabled,
    AuthenticationFailed,
    InvalidApiKey,
    ModelNotAllowed,
    PermissionDenied,
    ScopeMissing,
    TokenExpired,
    TokenInvalid,
    TokenReused,
)
from gateway.core.exceptions.base import GatewayError, UpstreamReply
from gateway.core.exceptions.limits import (
    BudgetExceeded,
    QuotaExceeded,
    RateLimited,
    StorageFull,
    TooManyAttempts,
)
from gateway.core.exceptions.requests import (
    BodyTooLarge,
    ContentBlocked,
    ContextLengthExceeded,
    HeadersTooLarge,
    IdempotencyMismatch,
    InvalidRequest,
    MethodNotAllowed,
    RequestTimeout,
    UnsupportedMediaType,
    UnsupportedParameter,
    ValidationFailed,
)
from gateway.core.exceptions.resources import (
    Conflict,
    EmailTaken,
    LastAdmin,
    ModelNotFound,
    NotFound,
    TurnInProgress,
    UnsupportedEndpoint,
)
from gateway.core.exceptions.upstreams import (
    CircuitOpen,
    Unavailable,
    UpstreamBroken,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)

__all__ = [
    "AccountDisabled",
    "AuthenticationFailed",
    "BodyTooLarge",
    "BudgetExceeded",
    "CircuitOpen",
    "Conflict",
    "ContentBlocked",
    "ContextLengthExceeded",
    "EmailTaken",
    "GatewayError",
    "HeadersTooLarge",
    "IdempotencyMismatch",
    "InvalidApiKey",
    "InvalidRequest",
    "LastAdmin",
    "MethodNotAllowed",
    "ModelNotAllowed",
    "ModelNotFound",
    "NotFound",
    "PermissionDenied",
    "QuotaExceeded",
    "RateLimited",
    "RequestTimeout",
    "ScopeMissing",
    "StorageFull",
    "TokenExpired",
    "TokenInvalid",
    "TokenReused",
    "TooManyAttempts",
    "TurnInProgress",
    "Unavailable",
    "UnsupportedEndpoint",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "UpstreamBroken",
    "UpstreamError",
    "UpstreamRateLimited",
    "UpstreamRejected",
    "UpstreamReply",
    "UpstreamTimeout",
    "UpstreamTooLarge",
    "UpstreamUnauthorized",
    "UpstreamUnavailable",
    "ValidationFailed",
]
