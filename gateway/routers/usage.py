"""Routes of what an account has used, and of everything that is held about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import StreamingResponse

from gateway.domain.principal import Principal
from gateway.domain.usage import money
from gateway.routers.dependencies import document_errors, get_container, require_person
from gateway.routers.edge import EdgeRoute
from gateway.schemas.usage import KeySums, LimitsView, ModelSums, SumsView, UsageView, sums_body

router = APIRouter(prefix="/api/user/me", tags=["accounts"], route_class=EdgeRoute)

Person = Annotated[Principal, Depends(require_person)]


@router.get("/usage", responses=document_errors(401, 403, 404))
async def read_usage(person: Person, request: Request) -> UsageView:
    """What I have used today and this month, by model and by key, and what is left."""
    usage = await get_container(request).usage.of_account(person.user_id)
    limits, sums, turns_left = usage.limits, usage.sums, person.allowance.turns_left
    keys = [(key_id, *usage.keys.get(key_id, (None, None)), part) for key_id, part in sums.by_key]  # type: ignore[arg-type]
    return UsageView.model_construct(
        tier=usage.tier,
        day=SumsView.of(sums.day),
        month=SumsView.of(sums.month),
        stored_bytes=usage.stored_bytes,
        limits=LimitsView.model_construct(
            requests_per_minute=limits.requests_per_minute,
            tokens_per_day=limits.tokens_per_day,
            usd_per_month=None if limits.usd_per_month is None else money(limits.usd_per_month),
            storage_bytes=limits.storage_bytes,
        ),
        remaining=LimitsView.model_construct(
            requests_per_minute=limits.requests_per_minute if turns_left is None else turns_left,
            tokens_per_day=usage.tokens_left,
            usd_per_month=None if usage.usd_left is None else money(usage.usd_left),
            storage_bytes=usage.storage_left,
        ),
        by_model=[ModelSums.model_construct(model=model, **sums_body(part)) for model, part in sums.by_model],
        by_key=[
            KeySums.model_construct(api_key_id=key_id, name=name, prefix=prefix, **sums_body(part))
            for key_id, name, prefix, part in keys
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
async def export_account(person: Person, request: Request) -> StreamingResponse:
    """Everything that is held about me, as a JSON file; secrets are not in it."""
    pieces = await get_container(request).account_data.export(person.user_id)
    return StreamingResponse(
        pieces,
        media_type="application/json",
        headers={
            "content-disposition": 'attachment; filename="llm-gateway-account.json"',
            "cache-control": "no-store",
        },
    )
