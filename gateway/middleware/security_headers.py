"""Headers that tell a browser to take an answer for what it says it is and for nothing else."""

from __future__ import annotations

from typing import Final

SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)

# What a browser's script may read of an answer from another origin.
EXPOSED_HEADERS: Final[tuple[str, ...]] = (
    "x-request-id", "x-trace-id", "traceparent", "retry-after", "retry-after-ms", "x-should-retry",
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
    "x-gateway-model", "x-gateway-provider", "x-gateway-cache", "x-gateway-overhead-ms",
    "x-gateway-cost-usd", "x-fallback-model",
)  # fmt: skip
