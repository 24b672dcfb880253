"""Which failure a caller sees after several models were asked in turn."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.exceptions import GatewayError, UpstreamRateLimited


def failure_to_report(failures: Sequence[GatewayError]) -> GatewayError:
    """The failure of a whole chain; `failures` are in the order of the calls, at least one.

    A limited provider can answer later, so its 429 says when to try again. Otherwise the first failure
    counts: it is that of the model that was asked for, and a fallback's inability says nothing about it.
    """
    rate_limited = [failure for failure in failures if isinstance(failure, UpstreamRateLimited)]
    return min(rate_limited, key=_retry_after) if rate_limited else failures[0]


def _retry_after(failure: GatewayError) -> float:
    return float("inf") if failure.retry_after is None else failure.retry_after
