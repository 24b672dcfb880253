"""What was used: by one account, by everyone, and the ledger's rows for whoever has to bill them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from gateway.core.exceptions import NotFound
from gateway.domain.catalog import Catalog, Tier
from gateway.domain.pages import Chunk, Cursor, Page, SumCursor
from gateway.domain.reports import (
    AccountSums,
    KeyUsage,
    Range,
    SlowCall,
    Stats,
    Sums,
    UsageRow,
    UsageSum,
    day_and_month,
)
from gateway.repositories.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """One account's usage; the three `…_left` are None where its tier has no such limit."""

    tier: str
    limits: Tier
    sums: AccountSums
    keys: Mapping[UUID, tuple[str, str]]
    tokens_left: int | None
    usd_left: Decimal | None
    stored_bytes: int
    storage_left: int | None


@dataclass(frozen=True, slots=True)
class StatsReport:
    """A range's stats, and the sums of the running day and month of the same zone."""

    during: Range
    stats: Stats
    day: Sums
    month: Sums


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which part of a range is asked for; `outcome` and `request_id` are of single calls alone."""

    during: Range
    user_id: UUID | None = None
    model: str | None = None
    outcome: str | None = None
    request_id: str | None = None


class UsageService:
    """Reads the ledger: sums of its rows, and what is left of the budgets that limits are kept by."""

    def __init__(self, uow: Callable[[], UnitOfWork], catalog: Catalog) -> None:
        self._uow = uow
        self._catalog = catalog

    async def of_account(self, user_id: UUID) -> AccountUsage:
        """Raises NotFound where the account is gone."""
        day, month = day_and_month(datetime.now(UTC))
        async with self._uow() as uow:
            account = await uow.users.get(user_id)
            if account is None:
                raise NotFound
            sums = await uow.usage.of_account(user_id, day, month)
            budget = await uow.budgets.get(user_id)
            keys = await uow.account_data.api_keys(user_id)
        limits = self._catalog.tier_of(account.tier)
        tokens, usd, most = limits.tokens_per_day, limits.usd_per_month, limits.storage_bytes
        return AccountUsage(
            tier=account.tier,
            limits=limits,
            sums=sums,
            keys={key["id"]: (key["name"], key["prefix"]) for key in keys},
            tokens_left=None
            if tokens is None
            else max(0, tokens - budget.tokens_used - budget.tokens_reserved),
            usd_left=None if usd is None else max(Decimal(0), usd - budget.usd_used - budget.usd_reserved),
            stored_bytes=budget.stored_bytes,
            storage_left=None if most is None else max(0, most - budget.stored_bytes),
        )

    async def stats(self, during: Range) -> StatsReport:
        """Everyone's usage in the range."""
        day, month = day_and_month(datetime.now(during.zone))
        now = datetime.now(UTC)
        async with self._uow() as uow:
            await uow.stats.begin()
            stats = await uow.stats.of_everyone(during)
            today = await uow.stats.total(Range(day, max(now, day), during.tz))
            this_month = await uow.stats.total(Range(month, max(now, month), during.tz))
        return StatsReport(during, stats, today, this_month)

    async def slowest(self, during: Range, limit: int) -> list[SlowCall]:
        """The slowest calls of models in the range, at most 20."""
        async with self._uow() as uow:
            await uow.stats.begin()
            return await uow.stats.slowest(during, limit)

    async def sums(self, which: UsageFilter, *, cursor: str | None, limit: int) -> Page[UsageSum]:
        """A page of sums by day, model and account. Raises ValidationFailed for a broken cursor."""
        after = SumCursor.decode(cursor) if cursor is not None else None
        async with self._uow() as uow:
            found = await uow.usage.sums(
                which.during, after=after, limit=limit + 1, user_id=which.user_id, model=which.model
            )
        return Page.of(found, limit, lambda one: SumCursor(one.day, one.model, one.user_id))

    async def by_key(self, which: UsageFilter, *, limit: int) -> Chunk[KeyUsage]:
        """The `limit` keys with the highest costs; `more` says whether there are others."""
        async with self._uow() as uow:
            found = await uow.usage.by_key(
                which.during, limit=limit + 1, user_id=which.user_id, model=which.model
            )
        return Chunk(found[:limit], len(found) > limit)

    async def rows(
        self, which: UsageFilter, *, cursor: str | None, limit: int, newest_first: bool = False
    ) -> Page[UsageRow]:
        """A page of single calls, by default oldest first. Raises ValidationFailed for a broken cursor."""
        after = Cursor.decode(cursor).id if cursor is not None else None
        async with self._uow() as uow:
            found = await uow.usage.rows(
                which.during,
                after=after,
                limit=limit + 1,
                user_id=which.user_id,
                model=which.model,
                outcome=which.outcome,
                request_id=which.request_id,
                newest_first=newest_first,
            )
        return Page.of(found, limit, lambda row: Cursor(row.created_at, row.id))
