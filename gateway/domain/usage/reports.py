"""Usage reports: totals per account, statistics and date ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.core.exceptions import ValidationFailed

MAX_DAYS = 366
_DATE_PATTERN = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ]|$)", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 2000, 2200

# Outcome of a cache hit: it cost nothing and called no provider.
CACHED_OUTCOME = "cached"
# Outcomes that do not count as errors.
NON_ERROR_OUTCOMES = ("ok", "cancelled", CACHED_OUTCOME)
# Selects all outcomes except these.
FAILED_FILTER = "failed"


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """Usage totals.

    `requests` counts client requests, however many calls each needed.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """One account's totals of day and month (UTC), and the month by model and key."""

    day: UsageTotals
    month: UsageTotals
    by_model: tuple[tuple[str, UsageTotals], ...]
    by_key: tuple[tuple[UUID | None, UsageTotals], ...]


@dataclass(frozen=True, slots=True)
class UsageTotalsRow:
    """Totals of one day, model and account.

    `user_id` and `email` are None for deleted accounts.
    """

    day: date
    model: str
    user_id: UUID | None
    email: str | None
    totals: UsageTotals


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """Totals of one API key, or of an account's signed-in requests (`api_key_id` is None).

    `name` and `prefix` are None if the key was deleted, `user_id` and `email` if the account was.
    """

    api_key_id: UUID | None
    name: str | None
    prefix: str | None
    user_id: UUID | None
    email: str | None
    totals: UsageTotals


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One call; `email` is None if it was not read or the account was deleted."""

    id: UUID
    created_at: datetime
    user_id: UUID | None
    api_key_id: UUID | None
    request_id: str
    kind: str
    model: str
    provider: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    outcome: str
    latency_ms: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    upstream_status: int | None = None
    upstream_reason: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class SlowCall:
    """One of the slowest model calls; `email` is None for deleted accounts."""

    row: UsageRow
    email: str | None


@dataclass(frozen=True, slots=True)
class LatencyPercentiles:
    """Latency of model calls in milliseconds; None without calls."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class GroupStats:
    """Statistics of one model or kind; `errors` counts failed calls."""

    name: str
    provider: str
    totals: UsageTotals
    calls: int
    errors: int
    cache_hits: int
    latency: LatencyPercentiles


@dataclass(frozen=True, slots=True)
class DayStats:
    """Statistics of one day; `errors` counts failed requests."""

    day: date
    totals: UsageTotals
    active_users: int
    errors: int
    cache_hits: int
    latency: LatencyPercentiles


@dataclass(frozen=True, slots=True)
class UsageStats:
    """Usage of all accounts in a range."""

    total: UsageTotals
    active_users: int
    errors: int
    cache_hits: int
    latency: LatencyPercentiles
    by_model: tuple[GroupStats, ...]
    by_kind: tuple[GroupStats, ...]
    by_day: tuple[DayStats, ...]


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """From `start` until before `end`; None means unbounded."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def parse(cls, start: str | None, end: str | None, tz: str | None) -> TimeSpan:
        """Parse a time span by the rules of `DateRange.parse`.

        Raises:
            ValidationFailed: a date or the zone is not valid, or the order is reversed.
        """
        zone = parse_zone(tz)
        since = _parse_moment(start, zone, "from", add_days=0) if start else None
        until = _parse_moment(end, zone, "to", add_days=1) if end else None
        if since is not None and until is not None and since >= until:
            raise ValidationFailed("from: The range ends before it begins.", param="from")
        return cls(since, until)


ALL_TIME = TimeSpan()


@dataclass(frozen=True, slots=True)
class DateRange:
    """From `start` until before `end`, with days in the time zone `tz`."""

    start: datetime
    end: datetime
    tz: str

    @classmethod
    def parse(cls, start: str | None, end: str | None, tz: str | None, now: datetime) -> DateRange:
        """Parse a date range; the default is the last 30 days including today.

        A date means the whole day in `tz`; a time without an offset is in `tz`; an end given as a time is
        exclusive.

        Raises:
            ValidationFailed: a date or the zone is not valid, the order is reversed, or it exceeds
                `MAX_DAYS`.
        """
        zone = parse_zone(tz)
        today = now.astimezone(zone).date()
        since = _parse_moment(start, zone, "from", add_days=0) if start else None
        until = (
            _parse_moment(end, zone, "to", add_days=1) if end else _midnight(today + timedelta(days=1), zone)
        )
        if since is None:
            last = (until - timedelta(microseconds=1)).astimezone(zone).date()
            since = _midnight(last - timedelta(days=29), zone)
        if since >= until:
            raise ValidationFailed("from: The range ends before it begins.", param="from")
        if until - since > timedelta(days=MAX_DAYS, hours=2):  # two hours, for clock changes at either end
            raise ValidationFailed(f"to: A range has at most {MAX_DAYS} days.", param="to")
        return cls(since, until, zone.key)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)

    def days(self) -> list[date]:
        """Return every day that the range overlaps."""
        zone = self.zone
        first = self.start.astimezone(zone).date()
        last = (self.end - timedelta(microseconds=1)).astimezone(zone).date()
        return [first + timedelta(days=step) for step in range((last - first).days + 1)]

    def clip_to_day(self, day: date) -> DateRange:
        """Return the part of the range within one of its days."""
        zone = self.zone
        start, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        return DateRange(max(self.start, start), min(self.end, end), self.tz)


def parse_zone(name: str | None) -> ZoneInfo:
    """Return the time zone.

    Raises ValidationFailed if the IANA database does not contain it.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationFailed("tz: There is no such time zone.", param="tz") from None


def day_and_month(now: datetime) -> tuple[datetime, datetime]:
    """Return when the current day and month began, in the zone of `now`."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day, day.replace(day=1)


def _parse_moment(text: str, zone: ZoneInfo, param: str, *, add_days: int) -> datetime:
    try:
        if not _DATE_PATTERN.match(text):
            raise ValueError
        if len(text) == len("2025-01-31"):
            return _midnight(_check_year(date.fromisoformat(text), param) + timedelta(days=add_days), zone)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValidationFailed(f"{param}: This is not an RFC 3339 date or time.", param=param) from None
    _check_year(moment.date(), param)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def _check_year(day: date, param: str) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValidationFailed(f"{param}: There is no usage in this year.", param=param)
    return day


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # In UTC: Python subtracts times of one zone by wall clock, ignoring clock changes.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
