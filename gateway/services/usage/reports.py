"""Usage reports: per account, for all accounts, and the individual calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from gateway.core.exceptions import NotFound
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.limits import Tier
from gateway.domain.pagination import Cursor, ListSlice, Page, TotalsCursor
from gateway.domain.usage.reports import (
    AccountTotals,
    DateRange,
    KeyUsage,
    SlowCall,
    UsageRow,
    UsageStats,
    UsageTotals,
    UsageTotalsRow,
    day_and_month,
)
from gateway.repositories.unit_of_work import UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """One account's usage.

    The `…_left` fields are None if its tier has no such limit.
    """

    tier: str
    limits: Tier
    totals: AccountTotals
    key_names: Mapping[UUID, tuple[str, str]]
    tokens_left: int | None
    usd_left: Decimal | None
    stored_bytes: int
    storage_left: int | None


@dataclass(frozen=True, slots=True)
class StatsReport:
    """Usage of a date range, and the totals of the current day and month in its time zone."""

    date_range: DateRange
    usage: UsageStats
    today: UsageTotals
    this_month: UsageTotals


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Selects usage in a date range.

    `outcome` and `request_id` apply to individual calls only.
    """

    date_range: DateRange
    user_id: UUID | None = None
    model: str | None = None
    outcome: str | None = None
    request_id: str | None = None


class UsageReports:
    """Reads usage records and the remaining budgets."""

    def __init__(self, uow: UnitOfWorkFactory, catalog: Catalog) -> None:
        self._uow = uow
        self._catalog = catalog

    async def for_account(self, user_id: UUID) -> AccountUsage:
        """Return an account's usage. Raises NotFound if the account does not exist."""
        day, month = day_and_month(datetime.now(UTC))
        async with self._uow() as uow:
            account = await uow.users.get(user_id)
            if account is None:
                raise NotFound
            totals = await uow.usage.get_account_totals(user_id, day, month)
            budget = await uow.budgets.get(user_id)
            keys = await uow.account_data.list_api_keys(user_id)
        limits = self._catalog.tier_of(account.tier)
        token_limit, usd_limit, storage_limit = (
            limits.tokens_per_day,
            limits.usd_per_month,
            limits.storage_bytes,
        )
        return AccountUsage(
            tier=account.tier,
            limits=limits,
            totals=totals,
            key_names={key["id"]: (key["name"], key["prefix"]) for key in keys},
            tokens_left=None
            if token_limit is None
            else max(0, token_limit - budget.tokens_used - budget.tokens_reserved),
            usd_left=None
            if usd_limit is None
            else max(Decimal(0), usd_limit - budget.usd_used - budget.usd_reserved),
            stored_bytes=budget.stored_bytes,
            storage_left=None if storage_limit is None else max(0, storage_limit - budget.stored_bytes),
        )

    async def stats(self, date_range: DateRange) -> StatsReport:
        """Return all accounts' usage in the range."""
        day, month = day_and_month(datetime.now(date_range.zone))
        now = datetime.now(UTC)
        async with self._uow() as uow:
            await uow.usage_stats.open_snapshot()
            stats = await uow.usage_stats.get_stats(date_range)
            today = await uow.usage_stats.get_totals(DateRange(day, max(now, day), date_range.tz))
            this_month = await uow.usage_stats.get_totals(DateRange(month, max(now, month), date_range.tz))
        return StatsReport(date_range, stats, today, this_month)

    async def slowest(self, date_range: DateRange, limit: int) -> list[SlowCall]:
        """List the slowest model calls in the range, at most 20."""
        async with self._uow() as uow:
            await uow.usage_stats.open_snapshot()
            return await uow.usage_stats.list_slowest_calls(date_range, limit)

    async def list_totals(
        self, selection: UsageFilter, *, cursor: str | None, limit: int
    ) -> Page[UsageTotalsRow]:
        """List totals by day, model and account.

        Raises ValidationFailed if the cursor is not valid.
        """
        after = TotalsCursor.decode(cursor) if cursor is not None else None
        async with self._uow() as uow:
            rows = await uow.usage.list_totals(
                selection.date_range,
                after=after,
                limit=limit + 1,
                user_id=selection.user_id,
                model=selection.model,
            )
        return Page.from_rows(rows, limit, lambda one: TotalsCursor(one.day, one.model, one.user_id))

    async def by_key(self, selection: UsageFilter, *, limit: int) -> ListSlice[KeyUsage]:
        """List the `limit` API keys with the highest cost.

        `has_more` says whether there are others.
        """
        async with self._uow() as uow:
            keys = await uow.usage.list_totals_by_key(
                selection.date_range, limit=limit + 1, user_id=selection.user_id, model=selection.model
            )
        return ListSlice(keys[:limit], len(keys) > limit)

    async def list_calls(
        self, selection: UsageFilter, *, cursor: str | None, limit: int, newest_first: bool = False
    ) -> Page[UsageRow]:
        """List individual calls, by default oldest first.

        Raises ValidationFailed if the cursor is not valid.
        """
        after = Cursor.decode(cursor).id if cursor is not None else None
        async with self._uow() as uow:
            calls = await uow.usage.list_rows(
                selection.date_range,
                after=after,
                limit=limit + 1,
                user_id=selection.user_id,
                model=selection.model,
                outcome=selection.outcome,
                request_id=selection.request_id,
                newest_first=newest_first,
            )
        return Page.from_rows(calls, limit, lambda row: Cursor(row.created_at, row.id))
