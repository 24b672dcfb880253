"""OpenAI's `/v1/embeddings`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.openai.embeddings import EmbeddingsBody, embeddings_body, parse_embeddings
from gateway.domain.accounts.principal import Principal
from gateway.domain.embeddings import EmbeddingRequest
from gateway.domain.money import format_usd
from gateway.domain.request_outcome import RequestOutcome
from gateway.routers.body import read_json_bytes
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY, json_body
from gateway.routers.response_headers import request_scope

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post(
    "/embeddings",
    summary="Create embeddings",
    openapi_extra={"requestBody": json_body(EmbeddingsBody), **IDEMPOTENCY_KEY},
    responses=document_errors(400, 404, 502, 503, 504),
)
async def embeddings(
    request: Request, principal: Annotated[Principal, Depends(api_key_only("embeddings"))]
) -> Response:
    """OpenAI's body; vectors as numbers, or as base64 of float32."""
    body, embedding_request = parse_embeddings(await read_json_bytes(request))
    # Embeddings are cheap enough to repeat for a retry.
    return await run_idempotent(
        request, principal, lambda: _embed(request, body, embedding_request, principal), retries=False
    )


async def _embed(
    request: Request, body: EmbeddingsBody, embedding_request: EmbeddingRequest, principal: Principal
) -> Response:
    result = await get_container(request).generation.embeddings.embed(
        body.model, embedding_request, request_scope(request, principal)
    )
    is_fallback = result.fallback_from is not None
    RequestOutcome.of(request.scope).record_call(result.provider, result.model, is_fallback=is_fallback)
    headers = {
        "x-gateway-model": result.model,
        "x-gateway-provider": result.provider,
        "x-gateway-cost-usd": format_usd(result.cost_usd),
        "x-gateway-overhead-ms": f"{result.overhead_ms:.1f}",
    }
    if is_fallback:
        headers["x-fallback-model"] = result.model
    answer = await asyncio.to_thread(embeddings_body, result.embeddings, result.model, body.encoding_format)
    return Response(answer, media_type="application/json", headers=headers)
