"""Exceptions of the client, by the gateway's error types.

GatewayClientError
├── ConnectionLost            no response, or a stream that broke off and could not be resumed
├── TurnEnded                 an accepted turn that did not complete; carries its partial text
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
    """Base class of all exceptions.

    Attributes:
        status: HTTP status, None without a response.
        code, param, request_id: from the gateway's error body, if any.
        retry_after: seconds that the gateway asked to wait.
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
    """The gateway is unreachable or disconnected.

    `partial` is the text received so far.
    """

    def __init__(self, message: str, *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial


class TurnEnded(GatewayClientError):
    """A turn that failed, was cancelled or interrupted.

    `text` is its stored partial answer.
    """

    def __init__(self, message: str, *, turn_status: str, text: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.turn_status = turn_status
        self.text = text


class InvalidRequestError(GatewayClientError):
    """The request is invalid; `param` names the offending field."""


class AuthenticationError(GatewayClientError):
    """The credential is missing, wrong or expired."""


class PermissionDeniedError(GatewayClientError):
    """The credential does not permit this."""


class NotFoundError(GatewayClientError):
    """The resource does not exist or belongs to another account."""


class ConflictError(GatewayClientError):
    """The current state forbids it, such as a conversation with a running turn."""


class RateLimitError(GatewayClientError):
    """A limit was reached; `code` names it."""


class ServerError(GatewayClientError):
    """The gateway failed or is unavailable."""


class UpstreamFailed(ServerError):
    """The model's provider failed, and there was no fallback."""


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
    """Build the exception of a response; `body` is its parsed JSON or anything else."""
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
