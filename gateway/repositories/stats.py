"""Everyone's usage in a range, summed up in PostgreSQL."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Float, Text, cast, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, array

from gateway.domain.reports import CACHED, GOOD_OUTCOMES, DayStats, GroupStats, Latency, Range, Stats, Sums
from gateway.repositories.base import Repository
from gateway.repositories.usage_record import dated, sums_of

# By grouping(day, model, provider, kind): a bit is 0 where the row is of a group by that column.
_DAY, _MODEL, _KIND = 0b0111, 0b1001, 0b1110


class StatsRepository(Repository):
    """To be called in a unit of work of its own: it gives its transaction one view of all the rows."""

    async def of_everyone(self, during: Range) -> Stats:
        """The sums of every row in the range, whoever it belongs to."""
        # Its two statements have to speak of the same rows, or the parts would not add up to the whole.
        await self._session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        requests = await self._requests(during)
        whole: tuple[Sums, int, int, Latency] = (Sums(), 0, 0, Latency())
        models: list[GroupStats] = []
        kinds: list[GroupStats] = []
        days: dict[date, DayStats] = {}
        for row in await self._groups(during):
            grouping, day, model, provider, kind, users, calls, failed, hits, times, *numbers = row
            sums = Sums(*numbers)
            latency = Latency(*(round(ms, 1) for ms in times)) if times else Latency()
            if grouping == _DAY:
                began, ended_badly = requests.get(day, (0, 0))
                own = Sums(began, sums.prompt_tokens, sums.completion_tokens, sums.cost_usd)
                days[day] = DayStats(day, own, users, ended_badly)
            elif grouping == _MODEL:
                models.append(GroupStats(model, provider, sums, calls, failed, latency))
            elif grouping == _KIND:
                kinds.append(GroupStats(kind, "", sums, calls, failed, latency))
            else:
                whole = (sums, users, hits, latency)
        total, active_users, cache_hits, latency = whole
        return Stats(
            total=total,
            active_users=active_users,
            errors=sum(failed for _, failed in requests.values()),
            cache_hits=cache_hits,
            latency=latency,
            by_model=tuple(sorted(models, key=lambda one: (-one.sums.cost_usd, -one.calls, one.name))),
            by_kind=tuple(sorted(kinds, key=lambda one: one.name)),
            by_day=tuple(days.get(day) or DayStats(day, Sums(), 0, 0) for day in during.days()),
        )

    async def total(self, during: Range) -> Sums:
        """The sums of every row in the range."""
        row = dated(during).c
        return Sums(*(await self._session.execute(select(*sums_of(row)))).one())

    async def _requests(self, during: Range) -> dict[date, tuple[int, int]]:
        """By the day on which they began: how many requests, and how many of them ended in an error."""
        row = dated(during).c
        # The last call of a model tells how a request ended; ids are made in the order of calls.
        call = cast(row.id, Text).collate("C")
        asked, failed = _asks_a_model(row), row.outcome.not_in(GOOD_OUTCOMES)
        ended_badly = func.max(call).filter(asked, failed) > func.coalesce(
            func.max(call).filter(asked, ~failed), ""
        )
        each = (
            select(func.min(row.day).label("day"), ended_badly.label("failed"))
            .group_by(row.request)
            .subquery()
            .c
        )
        statement = select(each.day, func.count(), func.count().filter(each.failed)).group_by(each.day)
        return {day: (count, bad) for day, count, bad in await self._session.execute(statement)}

    async def _groups(self, during: Range) -> list[Any]:
        """Sums of the whole, of each day, of each model of a provider and of each kind of call."""
        row = dated(during).c
        percentiles = func.percentile_cont(cast(array([0.5, 0.95, 0.99]), ARRAY(Float)))
        statement = select(
            func.grouping(row.day, row.model, row.provider, row.kind),
            row.day,
            row.model,
            row.provider,
            row.kind,
            func.count(row.user_id.distinct()),
            func.count(),
            func.count().filter(row.outcome.not_in(GOOD_OUTCOMES)),
            func.count().filter(row.outcome == CACHED),
            percentiles.within_group(row.latency_ms).filter(_asks_a_model(row)),
            *sums_of(row),
        ).group_by(
            func.grouping_sets(tuple_(), tuple_(row.day), tuple_(row.model, row.provider), tuple_(row.kind))
        )
        return list(await self._session.execute(statement))


def _asks_a_model(row: Any) -> Any:
    """Whether it is a call that a client waits for; a tool's or a guard's is part of its request's time."""
    return row.kind.in_(("chat", "embedding", "image"))
