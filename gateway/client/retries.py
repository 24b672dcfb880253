"""Retry policy: what the gateway's headers say, otherwise exponential backoff."""

from __future__ import annotations

import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_SECONDS, _MAX_SECONDS = 0.25, 8.0
# Longer waits are left to the caller.
MAX_RETRY_AFTER_SECONDS = 60.0


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Decide by `x-should-retry` if present, else by status.

    Never for too long a wait.
    """
    wait = retry_after(headers)
    if wait is not None and wait > MAX_RETRY_AFTER_SECONDS:
        return False
    advice = headers.get("x-should-retry", "").lower()
    if advice in ("true", "false"):
        return advice == "true"
    return status in _RETRYABLE


def backoff_seconds(attempt: int, headers: Mapping[str, str] | None = None) -> float:
    """Return the seconds to wait after attempt number `attempt`, counted from 0."""
    seconds = retry_after(headers) if headers is not None else None
    if seconds is not None:
        return seconds
    ceiling = min(_MAX_SECONDS, _FIRST_SECONDS * 2.0**attempt)
    return ceiling * (0.5 + random.random() / 2)  # noqa: S311 - jitter


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Parse `retry-after-ms` or `retry-after` (seconds or date).

    None if neither is readable.
    """
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        try:
            return max(0.0, float(text) * factor)
        except ValueError:
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None
