"""Routes for images: generate, list, fetch and delete under `/api/v1/media`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.body_limit import MEDIUM_BODY
from gateway.core.exceptions import GatewayError
from gateway.core.ids import parse_id
from gateway.dialects.errors import render_error
from gateway.dialects.sse import frame, stream_response
from gateway.domain.accounts.principal import Principal
from gateway.domain.images import ImageProgress, ImageRequest, StoredImage
from gateway.domain.money import format_usd
from gateway.domain.request_outcome import RequestOutcome
from gateway.routers.body import StrictJsonRoute, body_limit
from gateway.routers.dependencies import document_errors, get_container, user_or_api_key
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY
from gateway.routers.pagination import Cursor, Limit
from gateway.routers.response_headers import request_scope
from gateway.schemas.media import ImageIn, ImagePage, ImagesOut, StoredImageOut
from gateway.services.generation.images import ImageGenerationEvent, ImageOrder, ImagesGenerated

router = APIRouter(prefix="/api/v1/media", tags=["media"], route_class=StrictJsonRoute)

ImageReader = Annotated[Principal, Depends(user_or_api_key("images"))]
ImageCreator = Annotated[Principal, Depends(user_or_api_key("images", rate_category="turn"))]


@router.post(
    "/image/generate",
    summary="Generate images",
    openapi_extra=IDEMPOTENCY_KEY,
    response_class=Response,
    responses={
        200: {
            "model": ImagesOut,
            "content": {
                "text/event-stream": {
                    "example": 'event: progress\ndata: {"fraction": 0.5, "step": "3 (KSampler)"}\n\n'
                }
            },
        },
        **document_errors(400, 404, 422, 502, 503, 504),
    },
)
@body_limit(MEDIUM_BODY)
async def generate_image(request: Request, body: ImageIn, principal: ImageCreator) -> Response:
    """Generate all images or none.

    With `Accept: text/event-stream` as events: progress…, then done or error.
    """
    order = ImageOrder(
        ImageRequest(
            model="",
            prompt=body.prompt,
            negative_prompt=body.negative_prompt,
            width=body.width,
            height=body.height,
            seed=body.seed,
            n=body.n,
            workflow=body.workflow,
            placeholders=body.placeholders,
        ),
        body.model,
        body.provider,
    )
    streamed = "text/event-stream" in request.headers.get("accept", "")
    return await run_idempotent(
        request, principal, lambda: _generate(request, order, principal, streamed), variant=streamed
    )


async def _generate(request: Request, order: ImageOrder, principal: Principal, streamed: bool) -> Response:
    events = get_container(request).generation.images.generate(order, request_scope(request, principal))
    if streamed:
        try:
            first = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        return stream_response(_frames(first, events, request))
    generated = await wait_for_images(events)
    record_image_upstream(request, generated)
    return Response(
        orjson.dumps(images_body(generated)), media_type="application/json", headers=image_headers(generated)
    )


@router.get("/images", responses=document_errors(401, 403, 422))
async def list_images(
    request: Request, principal: ImageReader, cursor: Cursor = None, limit: Limit = 20
) -> ImagePage:
    """List my images, newest first."""
    page = await get_container(request).generation.image_library.list_images(
        principal.user_id, cursor=cursor, limit=limit
    )
    return ImagePage(items=[_stored_image(image) for image in page.items], next_cursor=page.next_cursor)


@router.get(
    "/images/{image_id}",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        **document_errors(401, 403, 404),
    },
)
async def read_image(request: Request, image_id: str, principal: ImageReader) -> Response:
    """Return the image file, which never changes."""
    images = get_container(request).generation.image_library
    image = await images.get(principal.user_id, parse_id(image_id))
    etag = f'"{image.digest}"'
    headers = {
        "etag": etag,
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{image.id}.{image.content_type.partition("/")[2]}"',
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if _etag_matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(await images.read(image), media_type=image.content_type, headers=headers)


@router.delete("/images/{image_id}", status_code=204, responses=document_errors(401, 403, 404))
async def delete_image(request: Request, image_id: str, principal: ImageReader) -> None:
    """Delete the image; its usage record stays."""
    await get_container(request).generation.image_library.delete(principal.user_id, parse_id(image_id))


async def wait_for_images(events: AsyncGenerator[ImageGenerationEvent, None]) -> ImagesGenerated:
    """Return the images and discard progress events."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ImagesGenerated):
                return event
    raise GatewayError


def record_image_upstream(request: Request, generated: ImagesGenerated) -> None:
    """Record the model and its provider for the access log."""
    RequestOutcome.of(request.scope).record_call(
        generated.provider, generated.model, is_fallback=generated.fallback_from is not None
    )


async def _frames(
    first: ImageGenerationEvent, events: AsyncGenerator[ImageGenerationEvent, None], request: Request
) -> AsyncGenerator[bytes, None]:
    number = 1
    async with aclosing(events):
        yield _frame(first, number)
        try:
            async for event in events:
                number += 1
                if isinstance(event, ImagesGenerated):
                    record_image_upstream(request, event)
                yield _frame(event, number)
        except GatewayError as error:
            _, _, body = render_error(error, request.state.request_id)
            RequestOutcome.of(request.scope).ending = "no_images"
            yield frame(orjson.dumps(body), event="error", event_id=number + 1)


def _etag_matches(header: str, etag: str) -> bool:
    """Return whether `If-None-Match` matches the image, also as a weak tag or in a list."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or "*" in tags


def _frame(event: ImageGenerationEvent, number: int) -> bytes:
    if isinstance(event, ImageProgress):
        data = orjson.dumps({"fraction": event.fraction, "step": event.step})
        return frame(data, event="progress", event_id=number)
    return frame(orjson.dumps(images_body(event)), event="done", event_id=number)


def images_body(generated: ImagesGenerated) -> dict[str, Any]:
    """Return the JSON response, which is also the data of `done`."""
    return {
        "images": [_image_body(image) for image in generated.images],
        "provider": generated.provider,
        "model": generated.model,
        "seed": generated.seed,
        "cost_usd": format_usd(generated.cost_usd),
        "request_id": generated.request_id,
    }


def image_headers(generated: ImagesGenerated) -> dict[str, str]:
    """Return the `x-gateway-*` headers of generated images."""
    headers = {
        "x-gateway-model": generated.model,
        "x-gateway-provider": generated.provider,
        "x-gateway-cost-usd": format_usd(generated.cost_usd),
    }
    if generated.fallback_from is not None:
        headers["x-fallback-model"] = generated.model
    return headers


def _image_body(image: StoredImage) -> dict[str, Any]:
    return {
        "id": str(image.id),
        "url": image.url,
        "width": image.width,
        "height": image.height,
        "content_type": image.content_type,
    }


def _stored_image(image: StoredImage) -> StoredImageOut:
    return StoredImageOut.model_construct(
        id=image.id,
        url=image.url,
        width=image.width,
        height=image.height,
        content_type=image.content_type,
        prompt=image.prompt,
        model=image.model,
        provider=image.provider,
        seed=image.seed,
        size=image.size,
        created_at=image.created_at,
    )
