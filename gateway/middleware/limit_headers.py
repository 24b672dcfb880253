"""What an answer tells of its caller's limits: the `x-ratelimit-*` headers of CONTRACT §6."""

from __future__ import annotations

import math

from gateway.domain.budget import Allowance, Window

_PREFIX = b"x-ratelimit-"


def limit_headers(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """Three headers for each limit that there is."""
    headers: list[tuple[bytes, bytes]] = []
    for window, what in ((allowance.requests, b"requests"), (allowance.tokens, b"tokens")):
        if window is not None:
            headers += _of(window, what)
    return headers


def _of(window: Window, what: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (_PREFIX + b"limit-" + what, b"%d" % window.limit),
        (_PREFIX + b"remaining-" + what, b"%d" % window.remaining),
        (_PREFIX + b"reset-" + what, duration(window.reset).encode()),
    )


def duration(seconds: float) -> str:
    """`12ms`, `2m30s`, `1h0m5s`: rounded up, so that nobody comes too early."""
    if seconds <= 0.999:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    whole = math.ceil(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"
