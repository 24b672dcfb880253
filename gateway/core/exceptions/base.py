"""The base class of all named errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class UpstreamReply:
    """A provider's error reply, for operators. Never part of a message as it is.

    Attributes:
        status: HTTP status; None if there was no HTTP response.
        reason: the provider's or the network's own message, which may contain input and keys.
        param: the field that the provider names.
    """

    status: int | None = None
    reason: str = ""
    param: str | None = None


class GatewayError(Exception):
    """Base of all named errors.

    Attributes:
        status: HTTP status of the response.
        type, code: the stable names listed in docs/API.md, "Errors".
        message: a human-readable message.
        param: path of the offending field, if any.
        retryable: whether the same request may succeed later (drives `x-should-retry`).
        retry_after: seconds to wait, if known.
        charged: whether something was charged before the failure.
        details: further fields of the error body.
        last_upstream: provider and model of the last model call, for the log; None without a call.
        upstream_reply: the provider's reply, for the log and the ledger; None if no provider failed.
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
