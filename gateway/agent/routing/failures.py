"""Which failure is reported after several models failed."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.exceptions import GatewayError, UpstreamRateLimited


def failure_to_report(failures: Sequence[GatewayError]) -> GatewayError:
    """Choose the failure to report for a chain of failed calls, oldest first.

    A rate limit tells when to retry, so the shortest one is reported. Otherwise the first failure is
    reported: it is that of the requested model, and a fallback's failure says nothing about it.
    """
    rate_limited = [failure for failure in failures if isinstance(failure, UpstreamRateLimited)]
    return min(rate_limited, key=_retry_after) if rate_limited else failures[0]


def _retry_after(failure: GatewayError) -> float:
    return float("inf") if failure.retry_after is None else failure.retry_after
