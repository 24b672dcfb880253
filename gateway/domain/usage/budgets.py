"""What an account may use: requests a minute, tokens a day, dollars a month, and what is left of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from gateway.core.ids import new_id

# How long a reservation (and a conversation's lock) outlives the process that no longer renews it: with the
# next round of another's housekeeping it is given back within 30 s, and PostgreSQL may be away for 15.
LEASE_SECONDS = 20.0

# What a request counts as: a turn (and any call with an API key), another request of a signed-in person,
# or nothing.
RateCategory = Literal["turn", "read", "none"]


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """How much of a limit is left; `reset` is in how many seconds all of it will be there again.

    `wait` is None where the request was let in, else in how many seconds there will be room for one.
    """

    limit: int
    remaining: int
    reset_seconds: float
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class MinuteLimits:
    """A tier's limits of requests a minute; None is no limit.

    `turns` bounds what asks a model and every call with an API key, `reads` the other requests of a signed-in
    person.
    """

    turns: int | None = None
    reads: int | None = None


@dataclass(slots=True)
class CallerLimits:
    """What a caller's answer tells of its limits; each is None where there is no such limit.

    Filled on the way: `requests` and `turns_left` by the authenticator, `tokens` by the ledger. `requests` is
    the window that the request was counted in; `turns_left` is what remains of the account's turns a minute.
    """

    requests: LimitWindow | None = None
    tokens: LimitWindow | None = None
    turns_left: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call is expected to take at least, in tokens and in dollars.

    `spare_tokens` and `spare_usd` are what it may take beyond that: reserved as far as half of what is left
    allows, so that one call does not keep others out. A stored conversation's history is counted where it is
    read: at most `history_tokens` of it, at `history_price` dollars each.
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
    """An estimate held against an account's budgets (None: unlimited) until it is settled; see `Estimate`.

    `most_stored` is how many bytes the account may store, where the request stores any.
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
    """An account's present day and month; what is reserved is not part of what is used.

    `granted_tokens` and `granted_usd` are what the reservation that was just made holds, of which
    `spare_tokens` are spare.
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
    """A reservation does not fit: nothing was written. `state` is the account's budget as it was then.

    `stored` is how many bytes were to be stored.
    """

    def __init__(self, state: BudgetState, new_bytes: int = 0) -> None:
        self.state = state
        self.new_bytes = new_bytes
        super().__init__()


def seconds_left_today(now: datetime | None = None) -> float:
    """Until the next UTC midnight."""
    now = now or datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def seconds_left_this_month(now: datetime | None = None) -> float:
    """Until the first of the next month, UTC."""
    now = now or datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return ((first + timedelta(days=32)).replace(day=1) - now).total_seconds()
