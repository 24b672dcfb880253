"""Log lines and counts of requests that the HTTP protocol answered before the application saw them.

Anybody can cause these without credentials. So the lines are limited, and what is not written is counted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gateway.core import metrics
from gateway.middleware.access_log import shown_path
from gateway.middleware.metrics import UNMATCHED, known_method

log = structlog.get_logger("gateway.access")

LINES: Final = 20
SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RefusedRequest:
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
class RefusedRequests:
    """Of one process: at most `lines` log lines in `seconds`, then one line with the number of the others."""

    lines: int = LINES
    seconds: float = SECONDS
    _written: int = 0
    _left_out: dict[str, int] = field(default_factory=dict)
    _window: asyncio.TimerHandle | None = None

    def note(self, request: RefusedRequest) -> None:
        """Count the request and write its line."""
        method = known_method(request.method or "")
        metrics.requests.labels(method, UNMATCHED, str(request.status)).inc()
        self.warn(
            "request",
            request.code,
            request_id=request.request_id,
            method=request.method,
            path=None if request.path is None else shown_path(request.path),
            status=request.status,
            client_ip=request.client_ip,
        )

    def warn(self, event: str, code: str, **fields: Any) -> None:
        """Write a line, or count it where too many have been written."""
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(self.seconds, self._end_window)
        if self._written < self.lines:
            self._written += 1
            log.warning(event, code=code, **fields)
        else:
            self._left_out[code] = self._left_out.get(code, 0) + 1

    def _end_window(self) -> None:
        left_out, self._left_out = self._left_out, {}
        self._window, self._written = None, 0
        if left_out:
            log.warning("requests_refused", not_logged=left_out, seconds=self.seconds)
