"""When the same model is asked again after a failure, how long after, and how often in all."""

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

# What a quiet gateway may spend on retries at once, and what the busiest may have saved up.
_INITIAL_BALANCE, _MAX_BALANCE = 3.0, 10.0


class RetryBudget:
    """Of each call a share is put aside, and a retry costs a whole: so retries add at most that share."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._balance = _INITIAL_BALANCE if ratio else 0.0

    def record_call(self) -> None:
        if self._balance < _MAX_BALANCE:
            self._balance += self._ratio

    def try_spend(self) -> bool:
        """Whether there is enough for one retry; if so, it is spent."""
        if self._balance < 1.0:
            return False
        self._balance -= (
            1.0 + self._ratio
        )  # what it is about to put aside itself is none of the others' share
        return True


def retry_delay(
    failure: GatewayError,
    calls: int,
    config: RetryConfig,
    random_between: Callable[[float, float], float] = uniform,
) -> float | None:
    """Seconds to wait before the same model is asked again; None where that cannot help, or not soon enough.

    Helped are lost connections, 5xx and broken answers, and limits that end soon: not time-outs, refused
    connections or credentials, nor what the caller got wrong. The back-off is random in all of its range, so
    that those who failed together do not come back together.

    Args:
        calls: how often the model was asked, at least 1. draw: a number between two.
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
