"""Which part of a range has been added up already, and which has to be read from the ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gateway.domain.usage.reports import DateRange

SLOT_LENGTH = timedelta(minutes=30)
# Calls of one account under one request id belong to one request while they are less than this apart.
REQUEST_GAP = timedelta(minutes=15)
# How old a slot is before it is added up: calls after it, and their rows, can still change what ended in it.
ROLLUP_LAG = timedelta(minutes=30)
# So many of the slowest calls of a slot are kept apart: more of a range cannot be asked for.
MAX_SLOWEST_CALLS = 20
_SLOT_SECONDS = int(SLOT_LENGTH.total_seconds())
_SLOTS_PER_DAY = 48
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class SlotsOfDay:
    """Which slots of a day in UTC lie in a `day` of the range's zone, as bits; the first of 48 is bit 0."""

    day: date
    utc_day: date
    mask: int


@dataclass(frozen=True, slots=True)
class RangeSplit:
    """`start` to before `end` is in whole slots but for those in `broken`; `pieces` are the ledger's."""

    start: datetime
    end: datetime
    excluded_slots: tuple[datetime, ...]
    raw_ranges: tuple[tuple[datetime, datetime], ...]
    days: tuple[SlotsOfDay, ...]


def split_range(
    date_range: DateRange, rolled_up_until: datetime | None, stale_slots: Collection[datetime]
) -> RangeSplit:
    """The parts of a range.

    Args:
        until: up to when the ledger has been added up; None for not at all.
        late: slots whose sums are out of date.
    """
    if rolled_up_until is None or rolled_up_until <= date_range.start:
        return RangeSplit(date_range.start, date_range.start, (), ((date_range.start, date_range.end),), ())
    rolled_end = min(rolled_up_until, date_range.end)
    edges = [date_range.start, date_range.end]
    edges += [date_range.clip_to_day(day).start for day in date_range.days()[1:]]
    partial_slots = {_slot_number(edge) for edge in edges if edge != _slot_time(_slot_number(edge))}
    partial_slots.update(_slot_number(slot) for slot in stale_slots)
    first, last = _slot_number(date_range.start), _slot_number(rolled_end - timedelta(microseconds=1))
    excluded = sorted(number for number in partial_slots if first <= number <= last)
    raw_ranges = [
        (max(_slot_time(number), date_range.start), min(_slot_time(number + 1), rolled_end))
        for number in excluded
    ]
    if rolled_end < date_range.end:
        raw_ranges.append((rolled_end, date_range.end))
    return RangeSplit(
        start=_slot_time(first),
        end=rolled_end,
        excluded_slots=tuple(_slot_time(number) for number in excluded),
        raw_ranges=tuple(_merge_adjacent(raw_ranges)),
        days=tuple(_days(date_range, rolled_end, set(excluded))),
    )


def slot_start(moment: datetime) -> datetime:
    """When the slot of a moment began."""
    return _slot_time(_slot_number(moment))


def _merge_adjacent(ranges: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for start, end in ranges:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _days(date_range: DateRange, rolled_end: datetime, excluded: set[int]) -> list[SlotsOfDay]:
    days = []
    for day in date_range.days():
        day_range = date_range.clip_to_day(day)
        first, end = _slot_number(day_range.start), _slot_number(min(day_range.end, rolled_end))
        for utc_day in range(first // _SLOTS_PER_DAY, max(first, end - 1) // _SLOTS_PER_DAY + 1):
            day_start = utc_day * _SLOTS_PER_DAY
            mask = sum(
                1 << (number - day_start)
                for number in range(max(first, day_start), min(end, day_start + _SLOTS_PER_DAY))
                if number not in excluded
            )
            if mask:
                days.append(SlotsOfDay(day, date.fromordinal(_EPOCH_ORDINAL + utc_day), mask))
    return days


def _slot_number(moment: datetime) -> int:
    return int(moment.timestamp() // _SLOT_SECONDS)


def _slot_time(number: int) -> datetime:
    return datetime.fromtimestamp(number * _SLOT_SECONDS, UTC)
