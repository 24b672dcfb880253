"""Requests that cannot be served as they are."""

from __future__ import annotations

from gateway.core.exceptions.base import GatewayError


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    default_message = "The request is not valid."


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"
    default_message = "The chosen model does not support this parameter."


class ContextLengthExceeded(InvalidRequest):
    """The prompt is too long. Clients recognize the message and the code."""

    code = "context_length_exceeded"
    default_message = (
        "This model's maximum context length is exceeded. Shorten the input and try again. "
        "(context_length_exceeded)"
    )

    @classmethod
    def for_request(cls, tokens: int, window: int, *, param: str = "messages") -> ContextLengthExceeded:
        """Create the error with its numbers.

        Args:
            tokens: estimated tokens that the request needs.
            window: the model's context window in tokens.
        """
        needs = f"needs about {tokens} tokens"
        if tokens <= window:  # the provider counts more tokens than the gateway's estimate
            needs = f"is too long for the provider, although the gateway estimates only {tokens} tokens"
        return cls(
            f"This model's maximum context length is {window} tokens. However, the request {needs}. "
            "Shorten the messages and try again. (context_length_exceeded)",
            param=param,
        )


class ContentBlocked(InvalidRequest):
    code = "content_blocked"
    default_message = "A guardrail blocked this request."


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
    default_message = "This Idempotency-Key was used for a different request. Use a new key."


class HeadersTooLarge(InvalidRequest):
    status = 431
    code = "headers_too_large"
    default_message = "The request's URL and headers are larger than 64 KiB. Send fewer or shorter headers."


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"
    default_message = "This path does not support this method."
