"""Administration routes for usage, CSV export and process metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway.core.exceptions import ValidationFailed
from gateway.core.metrics import exposition
from gateway.core.metrics.request_stats import request_stats
from gateway.domain.accounts.principal import Principal
from gateway.domain.usage.reports import DateRange
from gateway.domain.usage.rollup import MAX_SLOWEST_CALLS
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import document_errors, get_container, require_admin
from gateway.routers.pagination import FromDate, TimeZoneName, ToDate
from gateway.schemas.admin import MetricsView, ModelCounters, Percentiles, SlowRequest
from gateway.schemas.usage import (
    DayView,
    GroupView,
    KeyUsageList,
    KeyUsageView,
    KindStats,
    LatencyView,
    ModelStats,
    SlowCallList,
    SlowCallView,
    StatsView,
    SumsView,
    UsagePage,
    UsageRowView,
    UsageSumView,
    rate,
    totals_body,
)
from gateway.services.usage.reports import UsageFilter

router = APIRouter(tags=["administration"], route_class=StrictJsonRoute)

Admin = Annotated[Principal, Depends(require_admin)]


def _parse_range(start: FromDate = None, end: ToDate = None, tz: TimeZoneName = None) -> DateRange:
    """Parse the date range; without parameters, the last 30 days."""
    return DateRange.parse(start, end, tz, datetime.now(UTC))


RequestedRange = Annotated[DateRange, Depends(_parse_range)]


@router.get("/api/admin/stats", responses=document_errors(401, 403, 422))
async def read_stats(admin: Admin, date_range: RequestedRange, request: Request) -> StatsView:
    """All accounts' requests, tokens, costs, errors and latencies, total and by model, kind and day."""
    report = await get_container(request).usage.reports.stats(date_range)
    stats = report.usage
    return StatsView.model_construct(
        **totals_body(stats.total),
        start=date_range.start.astimezone(date_range.zone),
        end=date_range.end.astimezone(date_range.zone),
        tz=date_range.tz,
        active_users=stats.active_users,
        errors=stats.errors,
        error_rate=rate(stats.errors, stats.total.requests),
        cache_hits=stats.cache_hits,
        latency_ms=LatencyView.of(stats.latency),
        day=SumsView.of(report.today),
        month=SumsView.of(report.this_month),
        by_model=[
            ModelStats.model_construct(model=group.name, provider=group.provider, **GroupView.body(group))
            for group in stats.by_model
        ],
        by_kind=[
            KindStats.model_construct(kind=group.name, **GroupView.body(group)) for group in stats.by_kind
        ],
        by_day=[DayView.of_day(day) for day in stats.by_day],
    )


@router.get("/api/admin/slowest", responses=document_errors(401, 403, 422))
async def read_slowest(
    admin: Admin,
    date_range: RequestedRange,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_SLOWEST_CALLS)] = 10,
) -> SlowCallList:
    """The slowest model calls in a range, slowest first."""
    calls = await get_container(request).usage.reports.slowest(date_range, limit)
    return SlowCallList(items=[SlowCallView.of_call(call) for call in calls])


Detail = Annotated[
    Literal["sums", "rows"], Query(description="`sums` by day, model and account, or individual calls")
]


def _select(
    date_range: RequestedRange,
    detail: Detail = "sums",
    user_id: UUID | None = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    outcome: Annotated[
        str | None,
        Query(
            max_length=64,
            description="for rows: `ok`, `cancelled`, an error code, or `failed` for every error",
        ),
    ] = None,
    request_id: Annotated[
        str | None, Query(max_length=128, description="for rows: only those of one request")
    ] = None,
) -> UsageFilter:
    """Parse which usage is requested. Raises ValidationFailed for filters that need rows."""
    if detail == "sums":
        for name, value in (("outcome", outcome), ("request_id", request_id)):
            if value is not None:
                raise ValidationFailed(f"{name} filters individual calls. Add detail=rows.", param=name)
    return UsageFilter(date_range, user_id, model, outcome, request_id)


# One parameter per query parameter, besides the dependencies.
@router.get(
    "/api/admin/usage",
    response_model=UsagePage,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        **document_errors(401, 403, 422),
    },
)
async def read_usage(
    admin: Admin,
    selection: Annotated[UsageFilter, Depends(_select)],
    request: Request,
    detail: Detail = "sums",
    order: Annotated[
        Literal["oldest", "newest"], Query(description="for JSON rows: which come first")
    ] = "oldest",
    output: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="`csv` (or `Accept: text/csv`) returns the whole range at once"),
    ] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page; JSON only")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response | UsagePage:
    """Usage records of a range; failed calls include the provider's status and its redacted message."""
    usage = get_container(request).usage
    if output == "csv" or (output is None and "text/csv" in request.headers.get("accept", "")):
        export = usage.csv_export.export_totals if detail == "sums" else usage.csv_export.export_calls
        days = selection.date_range.days()
        return await _csv_response(export(selection), f"usage-{days[0]}-{days[-1]}.csv")
    if detail == "rows":
        call_page = await usage.reports.list_calls(
            selection, cursor=cursor, limit=limit, newest_first=order == "newest"
        )
        items = [UsageRowView.of_row(row) for row in call_page.items]
        return UsagePage.model_construct(items=items, next_cursor=call_page.next_cursor)
    page = await usage.reports.list_totals(selection, cursor=cursor, limit=limit)
    views = [UsageSumView.of_sum(totals_row) for totals_row in page.items]
    return UsagePage.model_construct(items=views, next_cursor=page.next_cursor)


@router.get("/api/admin/usage/keys", responses=document_errors(401, 403, 422))
async def read_usage_by_key(
    admin: Admin,
    date_range: RequestedRange,
    request: Request,
    user_id: UUID | None = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> KeyUsageList:
    """Usage of a range by API key, highest cost first.

    Requests of signed-in users have no key.
    """
    selection = UsageFilter(date_range, user_id, model)
    usage = await get_container(request).usage.reports.by_key(selection, limit=limit)
    return KeyUsageList(items=[KeyUsageView.of_key(key) for key in usage.items], more=usage.has_more)


@router.get("/api/metrics", responses=document_errors(401, 403))
async def read_metrics(admin: Admin) -> MetricsView:
    """Metrics of all workers of this gateway since it started.

    The same counts as `/metrics`.
    """
    totals = await asyncio.to_thread(exposition.totals)
    summary = await asyncio.to_thread(request_stats.summary)
    return MetricsView(
        uptime_seconds=summary.uptime_seconds,
        requests=sum(totals.status.values()),
        in_flight=totals.in_flight,
        running_turns=totals.running_turns,
        status={str(status): count for status, count in totals.status.items()},
        latency_ms=Percentiles(p50=summary.p50, p95=summary.p95, p99=summary.p99),
        slowest=[SlowRequest.model_validate(request) for request in summary.slowest],
        models={name: ModelCounters(**counters) for name, counters in totals.models.items()},
    )


async def _csv_response(lines: AsyncIterator[bytes], name: str) -> StreamingResponse:
    """Stream the CSV.

    The first lines are read before headers are sent, so that early errors keep their status.
    """
    first_bytes = await anext(lines) + await anext(lines, b"")

    async def body() -> AsyncIterator[bytes]:
        yield first_bytes
        async for chunk in lines:
            yield chunk

    return StreamingResponse(
        body(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
