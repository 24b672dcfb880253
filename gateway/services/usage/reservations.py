"""Reserving against budgets: shrinking what does not fit, and the error if nothing does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from gateway.core.exceptions import BudgetExceeded, QuotaExceeded, RateLimited, StorageFull
from gateway.domain.accounts.principal import Principal
from gateway.domain.usage.budgets import (
    BudgetState,
    LimitWindow,
    Reservation,
    ReservationRefused,
    seconds_left_this_month,
    seconds_left_today,
)

T = TypeVar("T")


async def reserve_or_shrink(
    principal: Principal, reservation: Reservation, write: Callable[[Reservation], Awaitable[T]]
) -> T:
    """Reserve including the spare amount, or without it if that does not fit.

    Raises:
        QuotaExceeded, BudgetExceeded: neither fits; nothing was written.
    """
    try:
        return await write(reservation)
    except ReservationRefused as refusal:
        if not reservation.spare_tokens and not reservation.spare_usd:
            raise _limit_error(principal, reservation, refusal) from None
    reservation = replace(reservation, spare_tokens=0, spare_usd=Decimal(0))
    try:
        return await write(reservation)
    except ReservationRefused as refusal:
        raise _limit_error(principal, reservation, refusal) from None


def token_window(reservation: Reservation, state: BudgetState) -> LimitWindow | None:
    limit = reservation.tokens_per_day
    if limit is None:
        return None
    remaining = limit - state.tokens_used - state.tokens_reserved + state.spare_tokens
    return LimitWindow(limit, max(0, remaining), seconds_left_today())


def _limit_error(principal: Principal, reservation: Reservation, refused: ReservationRefused) -> RateLimited:
    """Return the error for a refused reservation.

    If both limits are exceeded, the token limit is reported. If another reservation blocked this one and has
    been settled since `state` was read, the configured limit is reported.
    """
    state, storage_limit = refused.state, reservation.storage_limit
    principal.limits.tokens = token_window(reservation, state)
    tokens, usd = reservation.tokens_per_day, reservation.usd_per_month
    tokens_exceeded = (
        tokens is not None and state.tokens_used + state.tokens_reserved + reservation.tokens > tokens
    )
    usd_exceeded = usd is not None and state.usd_used + state.usd_reserved + reservation.usd > usd
    if (
        storage_limit is not None
        and state.stored_bytes + refused.new_bytes > storage_limit
        and not tokens_exceeded
        and not usd_exceeded
    ):
        return StorageFull(storage_limit)
    if tokens_exceeded or (tokens is not None and not usd_exceeded):
        return QuotaExceeded(retry_after=seconds_left_today())
    return BudgetExceeded(retry_after=seconds_left_this_month())
