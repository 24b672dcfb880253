"""One request and what became of it: what the edge notes down while it passes through."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from gateway.core.request_context import RequestContext
from gateway.core.tracing import NOOP_SPAN, Span

CLIENT_CLOSED_REQUEST = 499
# In the scope's state: the status with which the HTTP protocol itself ended a request that had begun.
REJECTED_STATUS_KEY = "refused_status"
RawHeaders = list[tuple[bytes, bytes]]


def is_probe(path: str) -> bool:
    """Whether a machine asks this every few seconds: such requests are neither logged nor traced."""
    return path == "/metrics" or path == "/health" or path.startswith("/health/")


@dataclass(slots=True)
class RequestRecord:
    """`status` is None before headers; `complete` after the last byte; `gone`: the client left before it."""

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
        """The status of the HTTP protocol's own answer, if it answered before the application did."""
        status: int | None = self.scope["state"].get(REJECTED_STATUS_KEY)
        return status

    @property
    def final_status(self) -> int:
        """The status for logs and metrics: 499 where the client left or the task was cancelled too early."""
        if (refused := self.rejected_status) is not None:
            return refused
        if (self.client_disconnected and not self.response_complete) or self.status is None:
            return CLIENT_CLOSED_REQUEST
        return self.status

    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self.started
