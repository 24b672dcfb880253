"""The record of one request while it passes through the middleware."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from gateway.core.request_context import RequestContext
from gateway.core.tracing import NOOP_SPAN, Span

CLIENT_CLOSED_REQUEST = 499
# Key in the scope's state: the status with which the HTTP protocol layer rejected a started request.
REJECTED_STATUS_KEY = "refused_status"
RawHeaders = list[tuple[bytes, bytes]]


def is_probe(path: str) -> bool:
    """Return whether the path is polled every few seconds.

    Such requests are neither logged nor traced.
    """
    return path == "/metrics" or path == "/health" or path.startswith("/health/")


@dataclass(slots=True)
class RequestRecord:
    """One request and its response.

    `status` is None before the headers, `response_complete` is set after the last byte, and
    `client_disconnected` if the client disconnected before it.
    """

    context: RequestContext
    scope: dict[str, Any]
    path: str
    headers: RawHeaders
    client_ip: str | None
    started: float = field(default_factory=time.perf_counter)
    status: int | None = None
    response_complete: bool = False
    client_disconnected: bool = False
    span: Span = NOOP_SPAN

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def rejected_status(self) -> int | None:
        """Return the status with which the HTTP protocol layer rejected the request."""
        status: int | None = self.scope["state"].get(REJECTED_STATUS_KEY)
        return status

    @property
    def final_status(self) -> int:
        """Return the status for logs and metrics; 499 for disconnects and cancellation."""
        if (refused := self.rejected_status) is not None:
            return refused
        if (self.client_disconnected and not self.response_complete) or self.status is None:
            return CLIENT_CLOSED_REQUEST
        return self.status

    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self.started
