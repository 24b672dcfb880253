"""Answers by role and task: `/api/v1/llm/generate`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.principal import Principal
from gateway.domain.usage import money
from gateway.routers.answers import answer_response, leaving
from gateway.routers.dependencies import document_errors, get_container, service_or_person
from gateway.routers.edge import EdgeRoute, large_body
from gateway.routers.once import once
from gateway.routers.openapi import KEYED
from gateway.schemas.generate import GenerateIn, GenerateOut

router = APIRouter(prefix="/api/v1/llm", tags=["roles"], route_class=EdgeRoute)

Caller = Annotated[Principal, Depends(service_or_person("chat", counts="turn"))]


@router.post(
    "/generate",
    summary="What a role makes of a payload",
    openapi_extra=KEYED,
    responses={200: {"model": GenerateOut}, **document_errors(400, 404, 422, 502, 503, 504)},
)
@large_body
async def generate(
    request: Request,
    body: GenerateIn,
    principal: Annotated[Principal, Depends(service_or_person("chat", counts="turn"))],
) -> Response:
    """Role and task choose model, prompt, schema and parameters; an answer that breaks the schema is asked
    for once more."""
    return await once(request, principal, lambda: _generated(request, body, principal))


async def _generated(request: Request, body: GenerateIn, principal: Principal) -> Response:
    made = await get_container(request).generate.generate(
        body.role,
        body.task,
        body.payload,
        body.mode,
        principal,
        request.state.request_id,
        leaving(request),
    )
    answer = replace(made.answer, usage=made.usage, cost_usd=made.cost_usd)
    return answer_response(
        request,
        answer,
        {
            "role": made.role,
            "task": made.task,
            "mode": made.mode,
            "model": answer.model,
            "provider": answer.provider,
            "content": made.content,
            "data": made.data,
            "usage": made.usage.as_json(),
            "cost_usd": money(made.cost_usd),
            "request_id": answer.request_id,
        },
    )
