"""OpenAI's API beside chats: `/v1/embeddings` and `/v1/images/generations`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import ValidationFailed
from gateway.dialects.openai.embeddings import EmbeddingsBody, embeddings_body, parse_embeddings
from gateway.dialects.openai.images import generations_body, in_its_words, parse_generations
from gateway.domain.embeddings import EmbeddingRequest
from gateway.domain.principal import Principal
from gateway.domain.usage import money
from gateway.routers.answers import leaving
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.edge import json_bytes
from gateway.routers.media import headers_of, last_of, note_pictures
from gateway.routers.once import once
from gateway.routers.openapi import KEYED, json_body
from gateway.schemas.media import GenerationsBody, GenerationView
from gateway.services.media import Order

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post(
    "/embeddings",
    summary="Vectors for texts",
    openapi_extra={"requestBody": json_body(EmbeddingsBody), **KEYED},
    responses=document_errors(400, 404, 502, 503, 504),
)
async def embeddings(
    request: Request, principal: Annotated[Principal, Depends(api_key_only("embeddings"))]
) -> Response:
    """OpenAI's body; vectors as numbers, or as base64 of float32."""
    body, wanted = parse_embeddings(await json_bytes(request))
    # What it costs is not worth keeping a caller's work who may come again.
    return await once(request, principal, lambda: _embedded(request, body, wanted, principal), retries=False)


async def _embedded(
    request: Request, body: EmbeddingsBody, wanted: EmbeddingRequest, principal: Principal
) -> Response:
    made = await get_container(request).embeddings.embed(
        body.model, wanted, principal, request.state.request_id, leaving(request)
    )
    request.state.upstream, request.state.model = made.provider, made.model
    headers = {
        "x-gateway-model": made.model,
        "x-gateway-provider": made.provider,
        "x-gateway-cost-usd": money(made.cost_usd),
        "x-gateway-overhead-ms": f"{made.overhead_ms:.1f}",
    }
    if made.fallback_from is not None:
        headers["x-fallback-model"] = request.state.fallback_model = made.model
    answer = await asyncio.to_thread(embeddings_body, made.result, made.model, body.encoding_format)
    return Response(answer, media_type="application/json", headers=headers)


@router.post(
    "/images/generations",
    summary="Pictures in OpenAI's dialect",
    openapi_extra={"requestBody": json_body(GenerationsBody), **KEYED},
    responses={200: {"model": GenerationView}, **document_errors(400, 404, 422, 502, 503, 504)},
)
async def image_generations(
    request: Request, principal: Annotated[Principal, Depends(api_key_only("images"))]
) -> Response:
    """`b64_json` unless `url` is asked for; an address asks for the account's credential."""
    order, inline = parse_generations(await json_bytes(request))
    return await once(request, principal, lambda: _generated(request, order, inline, principal))


async def _generated(request: Request, order: Order, inline: bool, principal: Principal) -> Response:
    container = get_container(request)
    try:
        made = await last_of(
            container.media.generate(order, principal, request.state.request_id, leaving(request))
        )
    except ValidationFailed as error:
        raise in_its_words(error) from None
    note_pictures(request, made)
    contents = None
    if inline:
        contents = [await container.images.content(image) for image in made.images]
    base = str(request.base_url).rstrip("/")
    addresses = [base + image.address for image in made.images]
    answer = generations_body(made.images, contents, addresses)
    return Response(orjson.dumps(answer), media_type="application/json", headers=headers_of(made))
