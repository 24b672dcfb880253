"""Which part of a range has been added up already, and which has to be read from the ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gateway.domain.reports import Range

SLOT = timedelta(minutes=30)
# Calls of one account under one request id belong to one request while they are less than this apart.
GAP = timedelta(minutes=15)
# How old a slot is before it is added up: calls after it, and their rows, can still change what ended in it.
LAG = timedelta(minutes=30)
# So many of the slowest calls of a slot are kept apart: more of a range cannot be asked for.
MOST_SLOWEST = 20
_SECONDS = int(SLOT.total_seconds())
_A_DAY = 48
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class SlotsOfDay:
    """Which slots of a day in UTC lie in a `day` of the range's zone, as bits; the first of 48 is bit 0."""

    day: date
    utc_day: date
    mask: int


@dataclass(frozen=True, slots=True)
class Division:
    """`start` to before `end` is in whole slots but for those in `broken`; `pieces` are the ledger's."""

    start: datetime
    end: datetime
    broken: tuple[datetime, ...]
    pieces: tuple[tuple[datetime, datetime], ...]
    days: tuple[SlotsOfDay, ...]


def divide(during: Range, until: datetime | None, late: Collection[datetime]) -> Division:
    """The parts of a range.

    Args:
        until: up to when the ledger has been added up; None for not at all.
        late: slots whose sums are out of date.
    """
    if until is None or until <= during.start:
        return Division(during.start, during.start, (), ((during.start, during.end),), ())
    rolled = min(until, during.end)
    edges = [during.start, during.end]
    edges += [during.of_day(day).start for day in during.days()[1:]]
    cut = {_number(edge) for edge in edges if edge != _moment(_number(edge))}
    cut.update(_number(slot) for slot in late)
    first, last = _number(during.start), _number(rolled - timedelta(microseconds=1))
    broken = sorted(number for number in cut if first <= number <= last)
    pieces = [(max(_moment(number), during.start), min(_moment(number + 1), rolled)) for number in broken]
    if rolled < during.end:
        pieces.append((rolled, during.end))
    return Division(
        start=_moment(first),
        end=rolled,
        broken=tuple(_moment(number) for number in broken),
        pieces=tuple(_joined(pieces)),
        days=tuple(_days(during, rolled, set(broken))),
    )


def floor(moment: datetime) -> datetime:
    """When the slot of a moment began."""
    return _moment(_number(moment))


def _joined(pieces: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    joined: list[tuple[datetime, datetime]] = []
    for start, end in pieces:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _days(during: Range, rolled: datetime, broken: set[int]) -> list[SlotsOfDay]:
    found = []
    for day in during.days():
        part = during.of_day(day)
        first, end = _number(part.start), _number(min(part.end, rolled))
        for utc_day in range(first // _A_DAY, max(first, end - 1) // _A_DAY + 1):
            begins = utc_day * _A_DAY
            mask = sum(
                1 << (number - begins)
                for number in range(max(first, begins), min(end, begins + _A_DAY))
                if number not in broken
            )
            if mask:
                found.append(SlotsOfDay(day, date.fromordinal(_EPOCH + utc_day), mask))
    return found


def _number(moment: datetime) -> int:
    return int(moment.timestamp() // _SECONDS)


def _moment(number: int) -> datetime:
    return datetime.fromtimestamp(number * _SECONDS, UTC)
