"""The route for answers by role and task: `/api/v1/llm/generate`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.accounts.principal import Principal
from gateway.domain.money import format_usd
from gateway.routers.body import StrictJsonRoute, large_body
from gateway.routers.dependencies import document_errors, get_container, user_or_api_key
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY
from gateway.routers.response_headers import answer_response, request_scope
from gateway.schemas.generate import GenerateIn, GenerateOut

router = APIRouter(prefix="/api/v1/llm", tags=["roles"], route_class=StrictJsonRoute)

Caller = Annotated[Principal, Depends(user_or_api_key("chat", rate_category="turn"))]


@router.post(
    "/generate",
    summary="Run a role on a payload",
    openapi_extra=IDEMPOTENCY_KEY,
    responses={200: {"model": GenerateOut}, **document_errors(400, 404, 422, 502, 503, 504)},
)
@large_body
async def generate(
    request: Request,
    body: GenerateIn,
    principal: Annotated[Principal, Depends(user_or_api_key("chat", rate_category="turn"))],
) -> Response:
    """Role and task select model, prompt, schema and parameters.

    An answer that violates the schema is requested once more.
    """
    return await run_idempotent(request, principal, lambda: _generate(request, body, principal))


async def _generate(request: Request, body: GenerateIn, principal: Principal) -> Response:
    result = await get_container(request).roles.generate.generate(
        body.role, body.task, body.payload, body.mode, request_scope(request, principal)
    )
    answer = replace(result.answer, usage=result.usage, cost_usd=result.cost_usd)
    return answer_response(
        request,
        answer,
        {
            "role": result.role,
            "task": result.task,
            "mode": result.mode,
            "model": answer.model,
            "provider": answer.provider,
            "content": result.content,
            "data": result.data,
            "usage": result.usage.as_json(),
            "cost_usd": format_usd(result.cost_usd),
            "request_id": answer.request_id,
        },
    )
