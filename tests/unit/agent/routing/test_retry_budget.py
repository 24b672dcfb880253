"""Retry delays, retryable failures and the retry budget."""

from __future__ import annotations

import pytest

from gateway.agent.routing.retry_budget import RetryBudget, retry_delay
from gateway.core.exceptions import (
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.domain.config.resilience import RetryConfig

RULE = RetryConfig(attempts=5, backoff_seconds=0.2, max_wait_seconds=2.0)


def longest(low: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("failure", "calls", "pause"),
    [
        (UpstreamUnavailable(), 1, 0.2),
        (UpstreamUnavailable(), 2, 0.4),
        (UpstreamUnavailable(), 4, 1.6),
        (UpstreamBroken(), 1, 0.2),
        (UpstreamRateLimited(retry_after=1.5), 1, 1.7),
        (UpstreamUnavailable(retry_after=2.0), 1, 2.2),
        # What cannot help, or not soon enough.
        (UpstreamUnavailable(), 5, None),
        (UpstreamUnavailable(transient=False), 1, None),
        (UpstreamUnavailable(retry_after=120), 1, None),
        (UpstreamRateLimited(), 1, None),
        (UpstreamRateLimited(retry_after=2.1), 1, None),
        (UpstreamTimeout(), 1, None),
        (UpstreamUnauthorized(), 1, None),
        (UpstreamRejected(), 1, None),
    ],
)
def test_the_retry_delay_depends_on_failure_and_count(
    failure: GatewayError, calls: int, pause: float | None
) -> None:
    assert retry_delay(failure, calls, RULE, longest) == (None if pause is None else pytest.approx(pause))


def test_the_backoff_is_random_over_its_range_and_bounded() -> None:
    many = RetryConfig(attempts=10, backoff_seconds=1, max_wait_seconds=3)
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    assert retry_delay(UpstreamUnavailable(), 9, many, draw) == 0.0
    assert drawn == [(0.0, 3.0)]


def test_retries_are_limited_to_their_share_and_a_reserve() -> None:
    budget = RetryBudget(0.2)
    taken = 0
    for _ in range(1000):
        budget.record_call()
        if budget.try_spend():
            budget.record_call()  # the retry is a call too
            taken += 1
    assert 195 <= taken <= 203


def test_the_retry_balance_starts_positive_and_is_capped() -> None:
    quiet, busy = RetryBudget(0.2), RetryBudget(0.2)
    for _ in range(100_000):
        busy.record_call()
    assert sum(quiet.try_spend() for _ in range(100)) == 2
    assert sum(busy.try_spend() for _ in range(100)) == 8


def test_a_ratio_of_zero_means_no_retries() -> None:
    budget = RetryBudget(0)
    budget.record_call()
    assert not budget.try_spend()
