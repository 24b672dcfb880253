"""Security headers of every response, and the headers exposed to CORS."""

from __future__ import annotations

from typing import Final

SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)

# Response headers that scripts from other origins may read.
EXPOSED_HEADERS: Final[tuple[str, ...]] = (
    "x-request-id", "x-trace-id", "traceparent", "retry-after", "retry-after-ms", "x-should-retry",
    "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens",
    "x-gateway-model", "x-gateway-provider", "x-gateway-cache", "x-gateway-overhead-ms",
    "x-gateway-cost-usd", "x-fallback-model",
)  # fmt: skip
