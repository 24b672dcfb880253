"""Usage statistics of all accounts: rolled-up slots plus unrolled records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, DateTime, Interval, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.domain.usage.latency_histogram import BUCKET_COUNT, percentiles
from gateway.domain.usage.reports import (
    DateRange,
    DayStats,
    GroupStats,
    SlowCall,
    UsageRow,
    UsageStats,
    UsageTotals,
)
from gateway.domain.usage.rollup import REQUEST_GAP, SLOT_LENGTH, RangeSplit, split_range
from gateway.models.usage_rollup import UsageLate, UsageRolled
from gateway.repositories.base import Repository
from gateway.repositories.usage import rollup_statements as sql

_TIMESTAMP = DateTime(timezone=True)
_SUM_RECORDS = text(sql.SUM_RECORDS).bindparams(
    *(bindparam(name, type_=_TIMESTAMP) for name in ("start", "end", "before", "after")),
    bindparam("gap", type_=Interval()),
)
_SUM_SLOTS = text(sql.SUM_SLOTS).bindparams(
    bindparam("start", type_=_TIMESTAMP),
    bindparam("end", type_=_TIMESTAMP),
    bindparam("broken", type_=ARRAY(_TIMESTAMP)),
)
_COUNT_USERS = text(sql.COUNT_USERS).bindparams(
    bindparam("days", type_=ARRAY(Date())),
    bindparam("utc_days", type_=ARRAY(Date())),
    bindparam("starts", type_=ARRAY(_TIMESTAMP)),
    bindparam("ends", type_=ARRAY(_TIMESTAMP)),
)


_SLOWEST_CALLS = text(sql.SLOWEST_CALLS).bindparams(
    bindparam("start", type_=_TIMESTAMP),
    bindparam("end", type_=_TIMESTAMP),
    bindparam("broken", type_=ARRAY(_TIMESTAMP)),
    bindparam("starts", type_=ARRAY(_TIMESTAMP)),
    bindparam("ends", type_=ARRAY(_TIMESTAMP)),
)


@dataclass(slots=True)
class _Subtotal:
    """Summed calls; `counts` are the calls per latency bucket."""

    calls: int = 0
    failed: int = 0
    cached: int = 0
    requests: int = 0
    requests_of_model: int = 0
    requests_of_kind: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * BUCKET_COUNT)

    def add(self, numbers: Iterable[Any]) -> None:
        for name, number in zip(_NUMBERS, numbers, strict=True):
            setattr(self, name, getattr(self, name) + number)

    def totals(self, requests: int) -> UsageTotals:
        return UsageTotals(
            requests,
            int(self.prompt_tokens),
            int(self.completion_tokens),
            self.cost_usd,
            int(self.cached_tokens),
            int(self.cache_write_tokens),
            int(self.reasoning_tokens),
        )


_NUMBERS = _Subtotal.__slots__[:-1]
# Day, model, provider and kind.
_GroupKey = tuple[date, str, str, str]
_Subtotals = dict[_GroupKey, _Subtotal]


class UsageStatsRepository(Repository):
    """Statistics over one consistent snapshot; use a separate unit of work."""

    async def open_snapshot(self) -> None:
        """Give the transaction a single snapshot. Call it first.

        All statements must see the same rows, or the parts would not add up to the totals.
        """
        await self._session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        # Compiling the many sums takes longer than computing them.
        await self._session.execute(text("SET LOCAL jit = off"))

    async def get_stats(self, during: DateRange) -> UsageStats:
        """Return totals and groups over all rows in the range."""
        division = await self._split_range(during)
        parts = await self._subtotals(division, during.tz)
        users = await self._count_users(division, during.tz)
        whole = _merge(parts, lambda place: ())[()]
        by_day = _merge(parts, lambda place: place[0])
        return UsageStats(
            total=whole.totals(whole.requests),
            active_users=users.get(None, 0),
            errors=whole.errors,
            cache_hits=whole.cached,
            latency=percentiles(whole.counts),
            by_model=_group_stats(
                _merge(parts, lambda place: place[1:3]), lambda part: part.requests_of_model
            ),
            by_kind=_group_stats(
                _merge(parts, lambda place: (place[3], "")), lambda part: part.requests_of_kind
            ),
            by_day=tuple(_day_stats(day, by_day[day], users.get(day, 0)) for day in during.days()),
        )

    async def get_totals(self, during: DateRange) -> UsageTotals:
        """Return the totals of all rows in the range."""
        if during.start >= during.end:
            return UsageTotals()
        whole = _merge(await self._subtotals(await self._split_range(during), during.tz), lambda place: ())[
            ()
        ]
        return whole.totals(whole.requests)

    async def list_slowest_calls(self, during: DateRange, limit: int) -> list[SlowCall]:
        """Return at most `limit` (up to `MAX_SLOWEST`) model calls, slowest first."""
        division = await self._split_range(during)
        given = {"start": division.start, "end": division.end, "broken": list(division.excluded_slots)}
        pieces = {
            "starts": [start for start, _ in division.raw_ranges],
            "ends": [end for _, end in division.raw_ranges],
        }
        found = await self._session.execute(_SLOWEST_CALLS, {**given, **pieces, "most": limit})
        return [SlowCall(UsageRow(*row[:-1]), row[-1]) for row in found]

    async def _split_range(self, during: DateRange) -> RangeSplit:
        until = await self._session.scalar(select(UsageRolled.until))
        noted = select(UsageLate.slot).distinct()
        late = [
            slot + step
            for slot in await self._session.scalars(noted)
            for step in (-SLOT_LENGTH, 0 * SLOT_LENGTH, SLOT_LENGTH)
        ]
        return split_range(during, until, late)

    async def _subtotals(self, division: RangeSplit, tz: str) -> _Subtotals:
        parts: _Subtotals = defaultdict(_Subtotal)
        if division.start < division.end:
            within = {
                "start": division.start,
                "end": division.end,
                "broken": list(division.excluded_slots),
                "tz": tz,
            }
            for row in await self._session.execute(_SUM_SLOTS, within):
                _add_row(parts, row[:4], row[4:-1], row[-1])
        for start, end in division.raw_ranges:
            near: dict[str, Any] = {
                "start": start,
                "end": end,
                "before": start - REQUEST_GAP,
                "after": end + REQUEST_GAP,
            }
            found = await self._session.execute(_SUM_RECORDS, {**near, "gap": REQUEST_GAP, "tz": tz})
            for row in found:
                _add_row(parts, row[:4], row[4:-1], row[-1])
        return parts

    async def _count_users(self, division: RangeSplit, tz: str) -> dict[date | None, int]:
        """Return active accounts by day; None is the key for the whole range."""
        given = {
            "days": [one.day for one in division.days],
            "utc_days": [one.utc_day for one in division.days],
            "masks": [one.mask for one in division.days],
            "starts": [start for start, _ in division.raw_ranges],
            "ends": [end for _, end in division.raw_ranges],
        }
        found = await self._session.execute(_COUNT_USERS, {**given, "tz": tz})
        return {row[0]: row[1] for row in found}


def _add_row(
    parts: _Subtotals, place: Iterable[Any], numbers: Iterable[Any], latencies: list[int] | int | None
) -> None:
    """Add `numbers`, in the order of `_Subtotal`.

    A record's calls are all in one bucket.
    """
    day, model, provider, kind = place
    part = parts[day, model, provider, kind]
    counters = list(numbers)
    part.add(counters)
    if isinstance(latencies, int):
        part.counts[latencies] += counters[0]
    elif latencies is not None:
        part.counts = [one + other for one, other in zip(part.counts, latencies, strict=True)]


def _merge(parts: _Subtotals, by: Callable[[_GroupKey], Any]) -> dict[Any, _Subtotal]:
    """Add up the subtotals that `by` maps to the same key."""
    joined: dict[Any, _Subtotal] = defaultdict(_Subtotal)
    for place, part in parts.items():
        into = joined[by(place)]
        into.add(getattr(part, name) for name in _NUMBERS)
        into.counts = [one + other for one, other in zip(into.counts, part.counts, strict=True)]
    return joined


def _group_stats(
    joined: dict[tuple[str, str], _Subtotal], requests: Callable[[_Subtotal], int]
) -> tuple[GroupStats, ...]:
    """Return statistics by name and provider, highest cost first."""
    made = [
        GroupStats(
            name=name,
            provider=provider,
            totals=part.totals(requests(part)),
            calls=part.calls,
            errors=part.failed,
            cache_hits=part.cached,
            latency=percentiles(part.counts),
        )
        for (name, provider), part in joined.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.totals.cost_usd, -one.calls, one.name)))


def _day_stats(day: date, part: _Subtotal, users: int) -> DayStats:
    return DayStats(
        day=day,
        totals=part.totals(part.requests),
        active_users=users,
        errors=part.errors,
        cache_hits=part.cached,
        latency=percentiles(part.counts),
    )
