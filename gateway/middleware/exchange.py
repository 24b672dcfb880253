"""One request and what became of it: what the edge notes down while it passes through."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from gateway.core.request_context import RequestContext
from gateway.core.tracing import NOTHING, Span

CLIENT_GONE = 499
# In the scope's state: the status with which the HTTP protocol itself ended a request that had begun.
REFUSED = "refused_status"
RawHeaders = list[tuple[bytes, bytes]]


def is_quiet(path: str) -> bool:
    """Whether a machine asks this every few seconds: such requests are neither logged nor traced."""
    return path == "/metrics" or path == "/health" or path.startswith("/health/")


@dataclass(slots=True)
class Exchange:
    """`status` is None before headers; `complete` after the last byte; `gone`: the client left before it."""

    context: RequestContext
    scope: dict[str, Any]
    path: str
    headers: RawHeaders
    client_ip: str | None
    began: float = field(default_factory=time.perf_counter)
    status: int | None = None
    complete: bool = False
    gone: bool = False
    span: Span = NOTHING

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def refused(self) -> int | None:
        """The status of the HTTP protocol's own answer, if it answered before the application did."""
        status: int | None = self.scope["state"].get(REFUSED)
        return status

    @property
    def outcome(self) -> int:
        """The status for logs and metrics: 499 where the client left or the task was cancelled too early."""
        if (refused := self.refused) is not None:
            return refused
        if (self.gone and not self.complete) or self.status is None:
            return CLIENT_GONE
        return self.status

    def seconds(self) -> float:
        return time.perf_counter() - self.began
