"""Logs and counts requests that the HTTP protocol layer rejected.

Anybody can cause these without credentials, so the log lines are limited, and suppressed ones are counted.
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
    """A request whose headers were incomplete or too large.

    `method` and `path` are None if they had not arrived; `client_ip` is the connection's own address.
    """

    request_id: str
    status: int
    code: str
    method: str | None
    path: str | None
    client_ip: str | None


@dataclass(slots=True)
class RejectedRequestLog:
    """Logs at most `lines` lines per `seconds`, then the number of suppressed ones."""

    lines: int = MAX_LINES
    seconds: float = WINDOW_SECONDS
    _written_lines: int = 0
    _suppressed: dict[str, int] = field(default_factory=dict)
    _window: asyncio.TimerHandle | None = None

    def record(self, request: RejectedRequest) -> None:
        """Count the request and log it."""
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
        """Log a line, or count it if the limit is reached."""
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(self.seconds, self.end_window)
        if self._written_lines < self.lines:
            self._written_lines += 1
            log.warning(event, code=code, **fields)
        else:
            self._suppressed[code] = self._suppressed.get(code, 0) + 1

    def end_window(self) -> None:
        """Log how many lines were suppressed and start counting again."""
        suppressed, self._suppressed = self._suppressed, {}
        self._window, self._written_lines = None, 0
        if suppressed:
            log.warning("request.rejections_suppressed", not_logged=suppressed, seconds=self.seconds)
