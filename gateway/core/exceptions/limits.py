"""Rate limits, quotas and budgets of an account."""

from __future__ import annotations

from gateway.core.exceptions.base import GatewayError


class RateLimited(GatewayError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limited"
    retryable = True
    default_message = "Too many requests. Try again later."


class QuotaExceeded(RateLimited):
    code = "quota_exceeded"
    retryable = False
    default_message = "This account's tokens for today are used up or reserved by running requests."


class StorageFull(QuotaExceeded):
    """Waiting does not help: the account has to delete something."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"This account's storage of {limit_bytes // 1_000_000:,} MB is full. Delete conversations or"
            " images, or ask an administrator for another tier."
        )


class BudgetExceeded(RateLimited):
    code = "budget_exceeded"
    retryable = False
    default_message = "This account's budget for this month is used up or reserved by running requests."


class TooManyAttempts(RateLimited):
    code = "too_many_attempts"
    default_message = "Too many failed sign-ins. Wait before you try again."
