"""OpenAI's `/v1/images/generations`."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import ValidationFailed
from gateway.dialects.openai.images import generations_body, parse_generations, with_openai_param
from gateway.domain.accounts.principal import Principal
from gateway.routers.api.media import image_headers, record_image_upstream, wait_for_images
from gateway.routers.body import read_json_bytes
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY, json_body
from gateway.routers.response_headers import request_scope
from gateway.schemas.media import GenerationsBody, GenerationView
from gateway.services.generation.images import ImageOrder

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post(
    "/images/generations",
    summary="Generate images in OpenAI's format",
    openapi_extra={"requestBody": json_body(GenerationsBody), **IDEMPOTENCY_KEY},
    responses={200: {"model": GenerationView}, **document_errors(400, 404, 422, 502, 503, 504)},
)
async def image_generations(
    request: Request, principal: Annotated[Principal, Depends(api_key_only("images"))]
) -> Response:
    """`b64_json` unless `url` is requested; fetching a URL needs the account's credential."""
    order, as_base64 = parse_generations(await read_json_bytes(request))
    return await run_idempotent(request, principal, lambda: _generate(request, order, as_base64, principal))


async def _generate(request: Request, order: ImageOrder, as_base64: bool, principal: Principal) -> Response:
    container = get_container(request)
    try:
        generated = await wait_for_images(
            container.generation.images.generate(order, request_scope(request, principal))
        )
    except ValidationFailed as error:
        raise with_openai_param(error) from None
    record_image_upstream(request, generated)
    contents = None
    if as_base64:
        contents = [await container.generation.image_library.read(image) for image in generated.images]
    base = str(request.base_url).rstrip("/")
    urls = [base + image.url for image in generated.images]
    answer = generations_body(generated.images, contents, urls)
    return Response(orjson.dumps(answer), media_type="application/json", headers=image_headers(generated))
