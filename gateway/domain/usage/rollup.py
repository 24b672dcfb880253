"""Splits a date range into aggregated slots and parts read from individual records."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gateway.domain.usage.reports import DateRange

SLOT_LENGTH = timedelta(minutes=30)
# Calls with the same account and request id belong to one request if they are closer than this.
REQUEST_GAP = timedelta(minutes=15)
# A slot's minimum age before it is aggregated: later calls can still change its requests.
ROLLUP_LAG = timedelta(minutes=30)
# How many of the slowest calls are stored per slot, and thus the most a range can list.
MAX_SLOWEST_CALLS = 20
_SLOT_SECONDS = int(SLOT_LENGTH.total_seconds())
_SLOTS_PER_DAY = 48
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class SlotsOfDay:
    """The slots of a UTC day that lie in `day` of the range's zone, as a bit mask."""

    day: date
    utc_day: date
    mask: int


@dataclass(frozen=True, slots=True)
class RangeSplit:
    """A split range: `start` to `end` in whole slots except `excluded_slots`.

    `raw_ranges` from records.
    """

    start: datetime
    end: datetime
    excluded_slots: tuple[datetime, ...]
    raw_ranges: tuple[tuple[datetime, datetime], ...]
    days: tuple[SlotsOfDay, ...]


def split_range(
    date_range: DateRange, rolled_up_until: datetime | None, stale_slots: Collection[datetime]
) -> RangeSplit:
    """Split a range.

    Args:
        rolled_up_until: the time up to which usage is aggregated; None if nothing is.
        stale_slots: slots whose totals are out of date.
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
    """Return the start of the slot that contains a moment."""
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
