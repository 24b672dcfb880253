"""Routes of everyone's usage: sums for the dashboard, rows and CSV for the books, figures of the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway.core import exposition
from gateway.core.exceptions import ValidationFailed
from gateway.core.request_stats import request_stats
from gateway.domain.principal import Principal
from gateway.domain.reports import Range
from gateway.domain.rollup import MOST_SLOWEST
from gateway.routers.dependencies import document_errors, get_container, require_admin
from gateway.routers.edge import EdgeRoute
from gateway.routers.paging import From, To, Zone
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
    sums_body,
)
from gateway.services.usage import UsageFilter

router = APIRouter(tags=["administration"], route_class=EdgeRoute)

Admin = Annotated[Principal, Depends(require_admin)]


def _range(start: From = None, end: To = None, tz: Zone = None) -> Range:
    """The last 30 days where nothing is given."""
    return Range.parse(start, end, tz, datetime.now(UTC))


During = Annotated[Range, Depends(_range)]


@router.get("/api/admin/stats", responses=document_errors(401, 403, 422))
async def read_stats(admin: Admin, during: During, request: Request) -> StatsView:
    """Everyone's requests, tokens, costs, errors and latencies: in all, by model, by kind and by day."""
    report = await get_container(request).usage.stats(during)
    stats = report.stats
    return StatsView.model_construct(
        **sums_body(stats.total),
        start=during.start.astimezone(during.zone),
        end=during.end.astimezone(during.zone),
        tz=during.tz,
        active_users=stats.active_users,
        errors=stats.errors,
        error_rate=rate(stats.errors, stats.total.requests),
        cache_hits=stats.cache_hits,
        latency_ms=LatencyView.of(stats.latency),
        day=SumsView.of(report.day),
        month=SumsView.of(report.month),
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
    during: During,
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST_SLOWEST)] = 10,
) -> SlowCallList:
    """The slowest calls of models in a range, the slowest first."""
    calls = await get_container(request).usage.slowest(during, limit)
    return SlowCallList(items=[SlowCallView.of_call(call) for call in calls])


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
    during: During,
    request: Request,
    detail: Annotated[
        Literal["sums", "rows"], Query(description="`sums` by day, model and account, or single calls")
    ] = "sums",
    user_id: UUID | None = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    outcome: Annotated[
        str | None,
        Query(
            max_length=64,
            description="of rows: `ok`, `cancelled`, an error's code, or `failed` for every error",
        ),
    ] = None,
    request_id: Annotated[
        str | None, Query(max_length=128, description="of rows: those of one request")
    ] = None,
    order: Annotated[
        Literal["oldest", "newest"], Query(description="of JSON rows: which come first")
    ] = "oldest",
    output: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="`csv` (or `Accept: text/csv`) is the whole range at once"),
    ] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before; of JSON only")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response | UsagePage:
    """The ledger for a range. Failed calls have the provider's status and its redacted words."""
    if detail == "sums":
        for name, value in (("outcome", outcome), ("request_id", request_id)):
            if value is not None:
                raise ValidationFailed(f"{name} filters single calls: add detail=rows.", param=name)
    which = UsageFilter(during, user_id, model, outcome, request_id)
    container = get_container(request)
    if output == "csv" or (output is None and "text/csv" in request.headers.get("accept", "")):
        lines = container.usage_csv.sums(which) if detail == "sums" else container.usage_csv.rows(which)
        return await _csv(lines, f"usage-{during.days()[0]}-{during.days()[-1]}.csv")
    if detail == "rows":
        rows = await container.usage.rows(which, cursor=cursor, limit=limit, newest_first=order == "newest")
        items = [UsageRowView.of_row(row) for row in rows.items]
        return UsagePage.model_construct(items=items, next_cursor=rows.next_cursor)
    sums = await container.usage.sums(which, cursor=cursor, limit=limit)
    views = [UsageSumView.of_sum(one) for one in sums.items]
    return UsagePage.model_construct(items=views, next_cursor=sums.next_cursor)


@router.get("/api/admin/usage/keys", responses=document_errors(401, 403, 422))
async def read_usage_by_key(
    admin: Admin,
    during: During,
    request: Request,
    user_id: UUID | None = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> KeyUsageList:
    """Usage of a range by API key, the highest cost first; what was asked signed in has no key."""
    which = UsageFilter(during, user_id, model)
    found = await get_container(request).usage.by_key(which, limit=limit)
    return KeyUsageList(items=[KeyUsageView.of_key(one) for one in found.items], more=found.more)


@router.get("/api/metrics", responses=document_errors(401, 403))
async def read_metrics(admin: Admin) -> MetricsView:
    """Figures of all workers of this gateway since it started; the same counts as `/metrics`."""
    counted = await asyncio.to_thread(exposition.counted)
    figures = await asyncio.to_thread(request_stats.figures)
    return MetricsView(
        uptime_seconds=figures.uptime_seconds,
        requests=sum(counted.status.values()),
        in_flight=counted.in_flight,
        running_turns=counted.running_turns,
        status={str(status): count for status, count in counted.status.items()},
        latency_ms=Percentiles(p50=figures.p50, p95=figures.p95, p99=figures.p99),
        slowest=[SlowRequest.model_validate(one) for one in figures.slowest],
        models={name: ModelCounters(**counters) for name, counters in counted.models.items()},
    )


async def _csv(lines: AsyncIterator[bytes], name: str) -> StreamingResponse:
    """The lines, of which the first ones are there already: what fails early gets its true status."""
    head = await anext(lines) + await anext(lines, b"")

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for piece in lines:
            yield piece

    return StreamingResponse(
        body(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
