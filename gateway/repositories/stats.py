"""Everyone's usage in a range, summed up in PostgreSQL.

Several plain statements rather than one clever one: each groups by hashing or sorts what it alone needs,
which for a million rows takes half the time of all sets with all aggregates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Float, Text, cast, distinct, exists, func, null, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, array

from gateway.domain.reports import CACHED, GOOD_OUTCOMES, DayStats, GroupStats, Latency, Range, Stats, Sums
from gateway.repositories.base import Repository
from gateway.repositories.usage_record import dated, sums_of

# What a part is of: ("day", day), ("model", model, provider), ("kind", kind), or () for the whole.
Key = tuple[Any, ...]


class _Part(NamedTuple):
    """Calls of one day, model, provider and kind, added up."""

    day: date
    model: str
    provider: str
    kind: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    calls: int
    failed: int
    cached: int


class StatsRepository(Repository):
    """To be called in a unit of work of its own: it gives its transaction one view of all the rows."""

    async def of_everyone(self, during: Range) -> Stats:
        """The sums of every row in the range, whoever it belongs to."""
        # The statements have to speak of the same rows, or the parts would not add up to the whole.
        await self._session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        parts = await self._parts(during)
        requests = await self._requests(during)
        latency = await self._latencies(during)
        users = await self._users(during)
        errors = await self._errors(during)

        def groups(name: str, *columns: str) -> tuple[GroupStats, ...]:
            found = defaultdict(list)
            for part in parts:
                found[(name, *(getattr(part, column) for column in columns))].append(part)
            made = [_group(key, some, requests, latency) for key, some in found.items()]
            return tuple(sorted(made, key=lambda one: (-one.sums.cost_usd, -one.calls, one.name)))

        by_day = defaultdict(list)
        for part in parts:
            by_day[part.day].append(part)
        return Stats(
            total=_sums(parts, requests.get((), 0)),
            active_users=users.get(None, 0),
            errors=sum(errors.values()),
            cache_hits=sum(part.cached for part in parts),
            latency=latency.get((), Latency()),
            by_model=groups("model", "model", "provider"),
            by_kind=groups("kind", "kind"),
            by_day=tuple(
                DayStats(
                    day,
                    _sums(by_day[day], requests.get(("day", day), 0)),
                    users.get(day, 0),
                    errors.get(day, 0),
                )
                for day in during.days()
            ),
        )

    async def total(self, during: Range) -> Sums:
        """The sums of every row in the range."""
        row = dated(during).c
        return Sums(*(await self._session.execute(select(*sums_of(row)))).one())

    async def _parts(self, during: Range) -> list[_Part]:
        row = dated(during).c
        by = (row.day, row.model, row.provider, row.kind)
        statement = select(
            *by,
            func.sum(row.prompt_tokens),
            func.sum(row.completion_tokens),
            func.sum(row.cost_usd),
            func.count(),
            func.count().filter(row.outcome.not_in(GOOD_OUTCOMES)),
            func.count().filter(row.outcome == CACHED),
        ).group_by(*by)
        return [_Part(*found) for found in await self._session.execute(statement)]

    async def _requests(self, during: Range) -> dict[Key, int]:
        """How many requests there were; one that went on past midnight is there on both days."""
        row = dated(during).c
        statement = select(*_by(row), func.count(distinct(row.request))).group_by(
            func.grouping_sets(tuple_(), tuple_(row.day), tuple_(row.model, row.provider), tuple_(row.kind))
        )
        return {_key(found): found[-1] for found in await self._session.execute(statement)}

    async def _latencies(self, during: Range) -> dict[Key, Latency]:
        """Of calls that a client waits for; a tool's or a guard's time is part of its request's."""
        row = dated(during).c
        percentiles = func.percentile_cont(cast(array([0.5, 0.95, 0.99]), ARRAY(Float)))
        statement = (
            select(*_by(row, days=False), percentiles.within_group(row.latency_ms))
            .where(_asks_a_model(row))
            .group_by(func.grouping_sets(tuple_(), tuple_(row.model, row.provider), tuple_(row.kind)))
        )
        return {
            _key(found): Latency(*(round(ms, 1) for ms in found[-1]))
            for found in await self._session.execute(statement)
            if found[-1] is not None
        }

    async def _users(self, during: Range) -> dict[date | None, int]:
        """Accounts that used anything, by day; under None those of the whole range."""
        row = dated(during).c
        seen = select(row.day, row.user_id).where(row.user_id.is_not(None)).distinct().subquery().c
        statement = select(seen.day, func.count(distinct(seen.user_id)).label("users")).group_by(
            func.grouping_sets(tuple_(), tuple_(seen.day))
        )
        return {found.day: found.users for found in await self._session.execute(statement)}

    async def _errors(self, during: Range) -> dict[date, int]:
        """Requests that ended in an error, by its day: those whose last call of a model failed.

        Few calls fail, so those are looked at first; ids are made in the order of calls.
        """
        row = dated(during).c
        bad = (
            select(
                row.request,
                func.max(row.day).label("day"),
                func.max(cast(row.id, Text).collate("C")).label("id"),
            )
            .where(_asks_a_model(row), row.outcome.not_in(GOOD_OUTCOMES))
            .group_by(row.request)
            .subquery()
            .c
        )
        later = dated(during).c
        made_good = exists().where(
            _asks_a_model(later),
            later.outcome.in_(GOOD_OUTCOMES),
            later.request == bad.request,
            cast(later.id, Text).collate("C") > bad.id,
        )
        statement = select(bad.day, func.count().label("errors")).where(~made_good).group_by(bad.day)
        return {found.day: found.errors for found in await self._session.execute(statement)}


def _by(row: Any, *, days: bool = True) -> tuple[Any, ...]:
    """Columns that tell `_key` of which set a result is: a bit is 0 where the set groups by that column."""
    sets = func.grouping(row.day, row.model, row.kind) if days else 0b100 + func.grouping(row.model, row.kind)
    return (sets, row.day if days else null(), row.model, row.provider, row.kind)


def _key(found: Any) -> Key:
    sets: dict[int, Key] = {
        0b011: ("day", found[1]),
        0b101: ("model", found[2], found[3]),
        0b110: ("kind", found[4]),
    }
    return sets.get(found[0], ())


def _asks_a_model(row: Any) -> Any:
    return row.kind.in_(("chat", "embedding", "image"))


def _sums(parts: Iterable[_Part], requests: int) -> Sums:
    some = list(parts)
    return Sums(
        requests,
        sum(part.prompt_tokens for part in some),
        sum(part.completion_tokens for part in some),
        sum((part.cost_usd for part in some), Decimal(0)),
    )


def _group(key: Key, parts: list[_Part], requests: dict[Key, int], latency: dict[Key, Latency]) -> GroupStats:
    return GroupStats(
        name=key[1],
        provider=key[2] if len(key) > 2 else "",
        sums=_sums(parts, requests.get(key, 0)),
        calls=sum(part.calls for part in parts),
        errors=sum(part.failed for part in parts),
        latency=latency.get(key, Latency()),
    )
