"""Routes for an account's usage and data export."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from gateway.domain.accounts.principal import Principal
from gateway.domain.money import format_usd
from gateway.routers.body import StrictJsonRoute
from gateway.routers.dependencies import document_errors, get_container, require_user
from gateway.schemas.usage import KeySums, LimitsView, ModelSums, SumsView, UsageView, totals_body

router = APIRouter(prefix="/api/user/me", tags=["accounts"], route_class=StrictJsonRoute)

User = Annotated[Principal, Depends(require_user)]


@router.get("/usage", responses=document_errors(401, 403, 404))
async def read_usage(user: User, request: Request) -> UsageView:
    """My usage today and this month, by model and by key, and what is left."""
    usage = await get_container(request).usage.reports.for_account(user.user_id)
    limits, totals, turns_left = usage.limits, usage.totals, user.limits.turns_left
    names = usage.key_names
    keys = [(key, *names.get(key, (None, None)), sums) for key, sums in totals.by_key]  # type: ignore[arg-type]
    return UsageView.model_construct(
        tier=usage.tier,
        day=SumsView.of(totals.day),
        month=SumsView.of(totals.month),
        stored_bytes=usage.stored_bytes,
        limits=LimitsView.model_construct(
            requests_per_minute=limits.requests_per_minute,
            tokens_per_day=limits.tokens_per_day,
            usd_per_month=None if limits.usd_per_month is None else format_usd(limits.usd_per_month),
            storage_bytes=limits.storage_bytes,
        ),
        remaining=LimitsView.model_construct(
            requests_per_minute=limits.requests_per_minute if turns_left is None else turns_left,
            tokens_per_day=usage.tokens_left,
            usd_per_month=None if usage.usd_left is None else format_usd(usage.usd_left),
            storage_bytes=usage.storage_left,
        ),
        by_model=[
            ModelSums.model_construct(model=model, **totals_body(key_totals))
            for model, key_totals in totals.by_model
        ],
        by_key=[
            KeySums.model_construct(api_key_id=key_id, name=name, prefix=prefix, **totals_body(key_totals))
            for key_id, name, prefix, key_totals in keys
        ],
    )


@router.get(
    "/export",
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}}},
        **document_errors(401, 403, 404),
    },
    response_class=StreamingResponse,
)
async def export_account(user: User, request: Request) -> StreamingResponse:
    """Everything stored about me, as a JSON file without secrets."""
    chunks = await get_container(request).accounts.data_export.export(user.user_id)
    return StreamingResponse(
        chunks,
        media_type="application/json",
        headers={
            "content-disposition": 'attachment; filename="llm-gateway-account.json"',
            "cache-control": "no-store",
        },
    )
