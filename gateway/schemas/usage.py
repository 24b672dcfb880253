"""Usage bodies, per account and for all accounts; money is a decimal string of US dollars."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from gateway.domain.money import format_usd
from gateway.domain.usage.reports import (
    DayStats,
    GroupStats,
    KeyUsage,
    LatencyPercentiles,
    SlowCall,
    UsageRow,
    UsageTotals,
    UsageTotalsRow,
)
from gateway.schemas.base import View


class SumsView(View):
    requests: int = Field(description="client requests, however many calls each took")
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = Field(description="part of the prompts: read from providers' caches")
    cache_write_tokens: int = Field(description="part of the prompts: written to providers' caches")
    reasoning_tokens: int = Field(description="part of the completions: the models' reasoning")
    cost_usd: str

    @classmethod
    def of(cls, totals: UsageTotals) -> SumsView:
        return SumsView.model_construct(**totals_body(totals))


def totals_body(totals: UsageTotals) -> dict[str, Any]:
    """Return the fields of `SumsView`, for views that have more fields."""
    fields = {name: getattr(totals, name) for name in SumsView.model_fields}
    return {**fields, "cost_usd": format_usd(totals.cost_usd)}


class LimitsView(View):
    """A tier's limits, or what is left of them; null means no limit."""

    requests_per_minute: int | None
    tokens_per_day: int | None
    usd_per_month: str | None
    storage_bytes: int | None = Field(description="of conversations and images")


class ModelSums(SumsView):
    model: str


class KeySums(SumsView):
    """Usage by key.

    `api_key_id`, `name` and `prefix` are null for signed-in requests.
    """

    api_key_id: UUID | None
    name: str | None
    prefix: str | None


class UsageView(View):
    """An account's usage: days and months are UTC.

    `by_model` and `by_key` cover the month.

    `remaining` excludes what running turns have reserved.
    """

    tier: str
    day: SumsView
    month: SumsView
    stored_bytes: int = Field(description="my conversations and images")
    limits: LimitsView
    remaining: LimitsView
    by_model: list[ModelSums]
    by_key: list[KeySums]


class LatencyView(View):
    """Latency of model calls in milliseconds, accurate to a fifth.

    Null without calls.
    """

    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, latency: LatencyPercentiles) -> LatencyView:
        return cls.model_validate(latency)


class GroupView(SumsView):
    calls: int = Field(description="calls of models or tools; a request may need several")
    errors: int = Field(description="calls that ended with an error")
    error_rate: float = Field(description="errors / calls")
    cache_hits: int
    latency_ms: LatencyView

    @classmethod
    def body(cls, group: GroupStats) -> dict[str, Any]:
        return {
            **totals_body(group.totals),
            "calls": group.calls,
            "errors": group.errors,
            "error_rate": rate(group.errors, group.calls),
            "cache_hits": group.cache_hits,
            "latency_ms": LatencyView.of(group.latency),
        }


class ModelStats(GroupView):
    model: str
    provider: str


class KindStats(GroupView):
    kind: str


class DayView(SumsView):
    day: date
    active_users: int
    errors: int = Field(description="requests that ended with an error")
    error_rate: float = Field(description="errors / requests")
    cache_hits: int
    latency_ms: LatencyView

    @classmethod
    def of_day(cls, day: DayStats) -> DayView:
        return cls.model_construct(
            day=day.day,
            active_users=day.active_users,
            errors=day.errors,
            error_rate=rate(day.errors, day.totals.requests),
            cache_hits=day.cache_hits,
            latency_ms=LatencyView.of(day.latency),
            **totals_body(day.totals),
        )


class StatsView(SumsView):
    """All accounts' usage from `from` until before `to`.

    `day` and `month` are the current ones in `tz`.
    """

    start: datetime = Field(serialization_alias="from")
    end: datetime = Field(serialization_alias="to")
    tz: str
    active_users: int
    errors: int = Field(description="requests that ended with an error")
    error_rate: float = Field(description="errors / requests")
    cache_hits: int
    latency_ms: LatencyView
    day: SumsView
    month: SumsView
    by_model: list[ModelStats]
    by_kind: list[KindStats]
    by_day: list[DayView]


class UsageSumView(SumsView):
    """One day, model and account.

    `user_id` and `email` are null for deleted accounts.
    """

    day: date
    model: str
    user_id: UUID | None
    email: str | None

    @classmethod
    def of_sum(cls, row: UsageTotalsRow) -> UsageSumView:
        return cls.model_construct(
            day=row.day, model=row.model, user_id=row.user_id, email=row.email, **totals_body(row.totals)
        )


class KeyUsageView(KeySums):
    """One API key of any account.

    `user_id` and `email` are null for deleted accounts.
    """

    user_id: UUID | None
    email: str | None

    @classmethod
    def of_key(cls, usage: KeyUsage) -> KeyUsageView:
        return cls.model_construct(
            api_key_id=usage.api_key_id,
            name=usage.name,
            prefix=usage.prefix,
            user_id=usage.user_id,
            email=usage.email,
            **totals_body(usage.totals),
        )


class KeyUsageList(View):
    """Highest cost first."""

    items: list[KeyUsageView]
    more: bool = Field(description="whether other keys have usage too")


class UsageRowView(View):
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
    cost_usd: str
    outcome: str
    latency_ms: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    upstream_status: int | None = Field(description="the provider's HTTP status if the call failed")
    upstream_reason: str | None = Field(description="the provider's redacted message if the call failed")
    email: str | None = Field(description="the account's address; null if it was deleted")

    @classmethod
    def of_row(cls, row: UsageRow) -> UsageRowView:
        fields = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_construct(**{**fields, "cost_usd": format_usd(row.cost_usd)})


class SlowCallView(UsageRowView):
    """One slow model call."""

    @classmethod
    def of_call(cls, call: SlowCall) -> SlowCallView:
        return cls.model_construct(**{**dict(UsageRowView.of_row(call.row)), "email": call.email})


class SlowCallList(View):
    """Slowest first."""

    items: list[SlowCallView]


class UsagePage(View):
    items: list[UsageSumView] | list[UsageRowView]
    next_cursor: str | None


def rate(part: int, whole: int) -> float:
    """Return a ratio from 0 to 1 with four decimals; 0 without a denominator."""
    return round(part / whole, 4) if whole else 0.0
