"""When to ask again, and how long to wait: by what the gateway says, else by doubling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_SECONDS, _MAX_SECONDS = 0.25, 8.0
# A longer wait than this is for the caller to decide on.
MAX_RETRY_AFTER_SECONDS = 60.0


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """By `x-should-retry` where it is given, else by the status; never where the wait would be too long."""
    wait = retry_after(headers)
    if wait is not None and wait > MAX_RETRY_AFTER_SECONDS:
        return False
    advice = headers.get("x-should-retry", "").lower()
    if advice in ("true", "false"):
        return advice == "true"
    return status in _RETRYABLE


def backoff_seconds(attempt: int, headers: Mapping[str, str] | None = None) -> float:
    """Seconds before attempt number `attempt` + 1, counted from 0."""
    seconds = retry_after(headers) if headers is not None else None
    if seconds is not None:
        return seconds
    ceiling = min(_MAX_SECONDS, _FIRST_SECONDS * 2.0**attempt)
    return ceiling * (0.5 + random.random() / 2)  # noqa: S311 - spreads callers, hides nothing


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after` (seconds or a date); None where neither can be read."""
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
