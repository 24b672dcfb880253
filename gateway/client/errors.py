"""What a call can end with, by the gateway's own error types.

GatewayClientError
├── ConnectionLost            no answer, or a stream that broke off and could not be taken up again
├── TurnEnded                 a turn that was accepted ended otherwise than complete; carries what it had said
├── InvalidRequestError       400, 413, 415, 422
├── AuthenticationError       401
├── PermissionDeniedError     403
├── NotFoundError             404
├── ConflictError             409
├── RateLimitError            429
└── ServerError               500, 503
    └── UpstreamFailed        502, 504
"""

from __future__ import annotations

from typing import Any


class GatewayClientError(Exception):
    """Base of all.

    Attributes:
        status: HTTP status, None where there was no answer.
        code, param, request_id: of the gateway's error body, where it had one.
        retry_after: seconds the gateway asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after


class ConnectionLost(GatewayClientError):
    """The gateway could not be reached, or went away; `partial` is the text that had come."""

    def __init__(self, message: str, *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial


class TurnEnded(GatewayClientError):
    """A turn that failed, was cancelled or interrupted; `text` is what it had said, and what is kept."""

    def __init__(self, message: str, *, turn_status: str, text: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.turn_status = turn_status
        self.text = text


class InvalidRequestError(GatewayClientError):
    """The request cannot be served as it is; `param` says what is wrong with it."""


class AuthenticationError(GatewayClientError):
    """The credential is missing, wrong or has expired."""


class PermissionDeniedError(GatewayClientError):
    """The credential may not do this."""


class NotFoundError(GatewayClientError):
    """There is no such thing, or it is another account's."""


class ConflictError(GatewayClientError):
    """The present state forbids it, such as a conversation that is being answered."""


class RateLimitError(GatewayClientError):
    """A limit was reached; `code` says which."""


class ServerError(GatewayClientError):
    """The gateway failed, or cannot serve at the moment."""


class UpstreamFailed(ServerError):
    """The model's provider failed, and no other could take its place."""


_BY_STATUS: dict[int, type[GatewayClientError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    429: RateLimitError,
    502: UpstreamFailed,
    504: UpstreamFailed,
}


def error_from_body(status: int, body: Any, retry_after: float | None = None) -> GatewayClientError:
    """The error of an answer; `body` is its parsed JSON, or anything else where it had none."""
    details = body.get("error") if isinstance(body, dict) else None
    details = details if isinstance(details, dict) else {}
    kind = _BY_STATUS.get(status) or (ServerError if status >= 500 else InvalidRequestError)
    return kind(
        str(details.get("message") or f"The gateway answered with HTTP {status}."),
        status=status,
        code=details.get("code"),
        param=details.get("param"),
        request_id=details.get("request_id"),
        retry_after=retry_after,
    )
