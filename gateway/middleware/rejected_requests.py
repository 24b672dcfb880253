"""Log lines and counts of requests that the HTTP protocol answered before the application saw them.

Anybody can cause these without credentials. So the lines are limited, and what is not written is counted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gateway.core.metrics import registry as metrics
from gateway.middleware.access_log import truncate_path
from gateway.middleware.metrics import UNMATCHED, method_label

log = structlog.get_logger("gateway.access")

MAX_LINES: Final = 20
WINDOW_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    """What is known of a request whose headers never became complete or were too large.

    `method` and `path` are None where they had not arrived; `client_ip` is the connection's own address.
    """

    request_id: str
    status: int
    code: str
    method: str | None
    path: str | None
    client_ip: str | None


@dataclass(slots=True)
class RejectedRequestLog:
    """Of one process: at most `lines` log lines in `seconds`, then one line with the number of the others."""

    lines: int = MAX_LINES
    seconds: float = WINDOW_SECONDS
    _written_lines: int = 0
    _suppressed: dict[str, int] = field(default_factory=dict)
    _window: asyncio.TimerHandle | None = None

    def record(self, request: RejectedRequest) -> None:
        """Count the request and write its line."""
        method = method_label(request.method or "")
        metrics.requests.labels(method, UNMATCHED, str(request.status)).inc()
        self.warn(
            "request",
            request.code,
            request_id=request.request_id,
            method=request.method,
            path=None if request.path is None else truncate_path(request.path),
            status=request.status,
            client_ip=request.client_ip,
        )

    def warn(self, event: str, code: str, **fields: Any) -> None:
        """Write a line, or count it where too many have been written."""
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(self.seconds, self._end_window)
        if self._written_lines < self.lines:
            self._written_lines += 1
            log.warning(event, code=code, **fields)
        else:
            self._suppressed[code] = self._suppressed.get(code, 0) + 1

    def _end_window(self) -> None:
        suppressed, self._suppressed = self._suppressed, {}
        self._window, self._written_lines = None, 0
        if suppressed:
            log.warning("requests_refused", not_logged=suppressed, seconds=self.seconds)
