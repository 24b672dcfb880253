"""Retry policy: when a model is called again, after which delay, how often."""

from __future__ import annotations

from collections.abc import Callable
from random import uniform

from gateway.core.exceptions import (
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from gateway.domain.config.resilience import RetryConfig

# Retries available at startup, and the most that can accumulate.
_INITIAL_BALANCE, _MAX_BALANCE = 3.0, 10.0


class RetryBudget:
    """Limits retries to a share of all calls (token bucket).

    Each call adds `ratio` to the balance, and a retry takes 1 from it.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._balance = _INITIAL_BALANCE if ratio else 0.0

    def record_call(self) -> None:
        if self._balance < _MAX_BALANCE:
            self._balance += self._ratio

    def try_spend(self) -> bool:
        """Take one retry from the balance if there is enough."""
        if self._balance < 1.0:
            return False
        self._balance -= 1.0 + self._ratio  # the retry itself must not earn its share back
        return True


def retry_delay(
    failure: GatewayError,
    calls: int,
    config: RetryConfig,
    random_between: Callable[[float, float], float] = uniform,
) -> float | None:
    """Seconds until the same model may be called again; None if a retry cannot help.

    Retried are lost connections, 5xx responses, broken answers and rate limits that end soon. Not retried are
    timeouts, refused connections, rejected credentials and invalid requests. The backoff is random over its
    full range, so that calls which failed together are not repeated together.

    Args:
        calls: how often the model was called, at least 1.
        random_between: returns a random number between two.
    """
    if isinstance(failure, UpstreamRateLimited):
        is_retryable = failure.retry_after is not None
    else:
        is_retryable = isinstance(failure, UpstreamBroken) or (
            isinstance(failure, UpstreamUnavailable) and failure.transient
        )
    requested_delay = failure.retry_after or 0.0
    if not is_retryable or calls >= config.attempts or requested_delay > config.max_wait_seconds:
        return None
    backoff = min(config.max_wait_seconds, config.backoff_seconds * 2.0 ** (calls - 1))
    return requested_delay + random_between(0.0, backoff)
