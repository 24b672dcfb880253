"""Everyone's usage in a range: what has been added up already, and the rest from the ledger's rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, DateTime, Interval, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from gateway.domain.latencies import BUCKETS, percentiles
from gateway.domain.reports import DayStats, GroupStats, Range, SlowCall, Stats, Sums, UsageRow
from gateway.domain.rollup import GAP, SLOT, Division, divide
from gateway.models.usage_rollup import UsageLate, UsageRolled
from gateway.repositories import usage_rollup_sql as sql
from gateway.repositories.base import Repository

_MOMENT = DateTime(timezone=True)
_LEDGER = text(sql.OF_LEDGER).bindparams(
    *(bindparam(name, type_=_MOMENT) for name in ("start", "end", "before", "after")),
    bindparam("gap", type_=Interval()),
)
_SLOTS = text(sql.OF_SLOTS).bindparams(
    bindparam("start", type_=_MOMENT),
    bindparam("end", type_=_MOMENT),
    bindparam("broken", type_=ARRAY(_MOMENT)),
)
_USERS = text(sql.USERS).bindparams(
    bindparam("days", type_=ARRAY(Date())),
    bindparam("utc_days", type_=ARRAY(Date())),
    bindparam("starts", type_=ARRAY(_MOMENT)),
    bindparam("ends", type_=ARRAY(_MOMENT)),
)


_SLOWEST = text(sql.SLOWEST).bindparams(
    bindparam("start", type_=_MOMENT),
    bindparam("end", type_=_MOMENT),
    bindparam("broken", type_=ARRAY(_MOMENT)),
    bindparam("starts", type_=ARRAY(_MOMENT)),
    bindparam("ends", type_=ARRAY(_MOMENT)),
)


@dataclass(slots=True)
class _Part:
    """Calls added up; `counts` are of their latencies, by bucket."""

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
    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, numbers: Iterable[Any]) -> None:
        for name, number in zip(_NUMBERS, numbers, strict=True):
            setattr(self, name, getattr(self, name) + number)

    def sums(self, requests: int) -> Sums:
        return Sums(
            requests,
            int(self.prompt_tokens),
            int(self.completion_tokens),
            self.cost_usd,
            int(self.cached_tokens),
            int(self.cache_write_tokens),
            int(self.reasoning_tokens),
        )


_NUMBERS = _Part.__slots__[:-1]
# Day, model, provider and kind.
_Place = tuple[date, str, str, str]
_Parts = dict[_Place, _Part]


class StatsRepository(Repository):
    """To be called in a unit of work of its own: it gives its transaction one view of all the rows."""

    async def begin(self) -> None:
        """Comes first: statements have to speak of the same rows, or parts would not add up to the whole."""
        await self._session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        # Compiling the many sums takes longer than adding.
        await self._session.execute(text("SET LOCAL jit = off"))

    async def of_everyone(self, during: Range) -> Stats:
        """The sums of every row in the range, whoever it belongs to."""
        division = await self._divide(during)
        parts = await self._parts(division, during.tz)
        users = await self._users(division, during.tz)
        whole = _joined(parts, lambda place: ())[()]
        by_day = _joined(parts, lambda place: place[0])
        return Stats(
            total=whole.sums(whole.requests),
            active_users=users.get(None, 0),
            errors=whole.errors,
            cache_hits=whole.cached,
            latency=percentiles(whole.counts),
            by_model=_groups(_joined(parts, lambda place: place[1:3]), lambda part: part.requests_of_model),
            by_kind=_groups(_joined(parts, lambda place: (place[3], "")), lambda part: part.requests_of_kind),
            by_day=tuple(_of_day(day, by_day[day], users.get(day, 0)) for day in during.days()),
        )

    async def total(self, during: Range) -> Sums:
        """The sums of every row in the range."""
        if during.start >= during.end:
            return Sums()
        whole = _joined(await self._parts(await self._divide(during), during.tz), lambda place: ())[()]
        return whole.sums(whole.requests)

    async def slowest(self, during: Range, limit: int) -> list[SlowCall]:
        """At most `limit` (up to `MOST_SLOWEST`) calls of models in the range, the slowest first."""
        division = await self._divide(during)
        given = {"start": division.start, "end": division.end, "broken": list(division.broken)}
        pieces = {
            "starts": [start for start, _ in division.pieces],
            "ends": [end for _, end in division.pieces],
        }
        found = await self._session.execute(_SLOWEST, {**given, **pieces, "most": limit})
        return [SlowCall(UsageRow(*row[:-1]), row[-1]) for row in found]

    async def _divide(self, during: Range) -> Division:
        until = await self._session.scalar(select(UsageRolled.until))
        noted = select(UsageLate.slot).distinct()
        late = [
            slot + step for slot in await self._session.scalars(noted) for step in (-SLOT, 0 * SLOT, SLOT)
        ]
        return divide(during, until, late)

    async def _parts(self, division: Division, tz: str) -> _Parts:
        parts: _Parts = defaultdict(_Part)
        if division.start < division.end:
            within = {"start": division.start, "end": division.end, "broken": list(division.broken), "tz": tz}
            for row in await self._session.execute(_SLOTS, within):
                _add(parts, row[:4], row[4:-1], row[-1])
        for start, end in division.pieces:
            near: dict[str, Any] = {"start": start, "end": end, "before": start - GAP, "after": end + GAP}
            found = await self._session.execute(_LEDGER, {**near, "gap": GAP, "tz": tz})
            for row in found:
                _add(parts, row[:4], row[4:-1], row[-1])
        return parts

    async def _users(self, division: Division, tz: str) -> dict[date | None, int]:
        """Accounts that used anything, by day; under None those of the whole range."""
        given = {
            "days": [one.day for one in division.days],
            "utc_days": [one.utc_day for one in division.days],
            "masks": [one.mask for one in division.days],
            "starts": [start for start, _ in division.pieces],
            "ends": [end for _, end in division.pieces],
        }
        found = await self._session.execute(_USERS, {**given, "tz": tz})
        return {row[0]: row[1] for row in found}


def _add(
    parts: _Parts, place: Iterable[Any], numbers: Iterable[Any], latencies: list[int] | int | None
) -> None:
    """`numbers` in the order of `_Part`; of the ledger's calls all are in one bucket."""
    day, model, provider, kind = place
    part = parts[day, model, provider, kind]
    told = list(numbers)
    part.add(told)
    if isinstance(latencies, int):
        part.counts[latencies] += told[0]
    elif latencies is not None:
        part.counts = [one + other for one, other in zip(part.counts, latencies, strict=True)]


def _joined(parts: _Parts, by: Callable[[_Place], Any]) -> dict[Any, _Part]:
    """The parts that `by` takes for the same, added up."""
    joined: dict[Any, _Part] = defaultdict(_Part)
    for place, part in parts.items():
        into = joined[by(place)]
        into.add(getattr(part, name) for name in _NUMBERS)
        into.counts = [one + other for one, other in zip(into.counts, part.counts, strict=True)]
    return joined


def _groups(joined: dict[tuple[str, str], _Part], requests: Callable[[_Part], int]) -> tuple[GroupStats, ...]:
    """By name and provider; the dearest first."""
    made = [
        GroupStats(
            name=name,
            provider=provider,
            sums=part.sums(requests(part)),
            calls=part.calls,
            errors=part.failed,
            cache_hits=part.cached,
            latency=percentiles(part.counts),
        )
        for (name, provider), part in joined.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.sums.cost_usd, -one.calls, one.name)))


def _of_day(day: date, part: _Part, users: int) -> DayStats:
    return DayStats(
        day=day,
        sums=part.sums(part.requests),
        active_users=users,
        errors=part.errors,
        cache_hits=part.cached,
        latency=percentiles(part.counts),
    )
