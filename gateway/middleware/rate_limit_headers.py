"""The `x-ratelimit-*` response headers (docs/API.md, "Headers")."""

from __future__ import annotations

import math

from gateway.domain.usage.budgets import CallerLimits, LimitWindow

_PREFIX = b"x-ratelimit-"


def rate_limit_headers(limits: CallerLimits) -> list[tuple[bytes, bytes]]:
    """Return three headers per limit."""
    headers: list[tuple[bytes, bytes]] = []
    for window, kind in ((limits.requests, b"requests"), (limits.tokens, b"tokens")):
        if window is not None:
            headers += _window_headers(window, kind)
    return headers


def _window_headers(window: LimitWindow, kind: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (_PREFIX + b"limit-" + kind, b"%d" % window.limit),
        (_PREFIX + b"remaining-" + kind, b"%d" % window.remaining),
        (_PREFIX + b"reset-" + kind, format_duration(window.reset_seconds).encode()),
    )


def format_duration(seconds: float) -> str:
    """Format seconds as `12ms`, `2m30s` or `1h0m5s`, rounded up."""
    if seconds <= 0.999:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    total = math.ceil(seconds)
    hours, rest = divmod(total, 3600)
    minutes, remaining = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{remaining}s"
    return f"{minutes}m{remaining}s" if minutes else f"{remaining}s"
