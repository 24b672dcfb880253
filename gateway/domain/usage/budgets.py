"""Limits and budgets of accounts, and reservations against them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from gateway.core.ids import new_id

# How long a reservation and a conversation lease outlive a dead process. Maintenance elsewhere releases them
# within 30 s, and PostgreSQL may be unreachable for 15 s.
LEASE_SECONDS = 20.0

# The rate limit that counts a request: turns (and all API key requests), reads of signed-in users, or none.
RateCategory = Literal["turn", "read", "none"]


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """How much of a limit is left; all of it is available again in `reset_seconds`.

    `retry_after` is None if the request was admitted, else the seconds until one is.
    """

    limit: int
    remaining: int
    reset_seconds: float
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class MinuteLimits:
    """A tier's requests per minute; None means no limit.

    `turns` limits model calls and all API key requests, `reads` the other requests of signed-in users.
    """

    turns: int | None = None
    reads: int | None = None


@dataclass(slots=True)
class CallerLimits:
    """The caller's limits for the response headers; None means no limit.

    `requests` (the window that counted this request) and `turns_left` (of the account's turns per minute) are
    set by the authenticator, `tokens` by the ledger.
    """

    requests: LimitWindow | None = None
    tokens: LimitWindow | None = None
    turns_left: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The minimum a call is expected to use, in tokens and dollars.

    `spare_tokens` and `spare_usd` are what it may use beyond that; at most half of the remaining budget is
    reserved for them, so that one call does not block others. Stored history is counted when it is read: at
    most `history_tokens` of it, at `history_price` dollars per token.
    """

    tokens: int
    usd: Decimal
    spare_tokens: int = 0
    spare_usd: Decimal = Decimal(0)
    history_tokens: int = 0
    history_price: Decimal = Decimal(0)
    bill: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """An estimate reserved from an account's budgets until settlement.

    `storage_limit` is the account's limit in bytes, if the request stores data. See `Estimate` for the other
    fields.
    """

    user_id: UUID
    tokens: int
    usd: Decimal
    tokens_per_day: int | None = None
    usd_per_month: Decimal | None = None
    id: UUID = field(default_factory=new_id)
    lease_seconds: float = LEASE_SECONDS
    spare_tokens: int = 0
    spare_usd: Decimal = Decimal(0)
    history_tokens: int = 0
    history_price: Decimal = Decimal(0)
    storage_limit: int | None = None
    bill: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """An account's current day and month.

    Reserved amounts are not included in used amounts.

    `granted_tokens` and `granted_usd` are what the new reservation holds, including `spare_tokens`.
    """

    tokens_used: int = 0
    tokens_reserved: int = 0
    usd_used: Decimal = Decimal(0)
    usd_reserved: Decimal = Decimal(0)
    stored_bytes: int = 0
    granted_tokens: int = 0
    granted_usd: Decimal = Decimal(0)
    spare_tokens: int = 0


class ReservationRefused(Exception):
    """A reservation does not fit; nothing was written.

    `state` is the account's budget at that time.

    `new_bytes` is how many bytes were to be stored.
    """

    def __init__(self, state: BudgetState, new_bytes: int = 0) -> None:
        self.state = state
        self.new_bytes = new_bytes
        super().__init__()


def seconds_left_today(now: datetime | None = None) -> float:
    """Return the seconds until the next UTC midnight."""
    now = now or datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def seconds_left_this_month(now: datetime | None = None) -> float:
    """Return the seconds until the first of the next month, UTC."""
    now = now or datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return ((first + timedelta(days=32)).replace(day=1) - now).total_seconds()
