"""Pictures: made, listed, fetched and deleted under `/api/v1/media`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.body_allowance import MEDIUM_BODY
from gateway.core.exceptions import GatewayError
from gateway.core.ids import parse_id
from gateway.dialects.errors import render_error
from gateway.dialects.sse import frame, stream_response
from gateway.domain.images import ImageProgress, ImageRequest, StoredImage
from gateway.domain.principal import Principal
from gateway.domain.usage import money
from gateway.routers.answers import leaving
from gateway.routers.dependencies import document_errors, get_container, service_or_person
from gateway.routers.edge import EdgeRoute, body_limit
from gateway.routers.once import once
from gateway.routers.openapi import KEYED
from gateway.routers.paging import Cursor, Limit
from gateway.schemas.media import ImageIn, ImagePage, ImagesOut, StoredImageOut
from gateway.services.media import MediaEvent, Order, PicturesMade

router = APIRouter(prefix="/api/v1/media", tags=["media"], route_class=EdgeRoute)

Caller = Annotated[Principal, Depends(service_or_person("images"))]
Maker = Annotated[Principal, Depends(service_or_person("images", counts="turn"))]


@router.post(
    "/image/generate",
    summary="Make pictures",
    openapi_extra=KEYED,
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
async def generate_image(request: Request, body: ImageIn, principal: Maker) -> Response:
    """All pictures or none. With `Accept: text/event-stream` as events: progress…, then done or error."""
    order = Order(
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
    return await once(
        request, principal, lambda: _generated(request, order, principal, streamed), variant=streamed
    )


async def _generated(request: Request, order: Order, principal: Principal, streamed: bool) -> Response:
    request_id = request.state.request_id
    events = get_container(request).media.generate(order, principal, request_id, leaving(request))
    if streamed:
        try:
            first = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        return stream_response(_frames(first, events, request))
    made = await last_of(events)
    note_pictures(request, made)
    return Response(orjson.dumps(made_body(made)), media_type="application/json", headers=headers_of(made))


@router.get("/images", responses=document_errors(401, 403, 422))
async def list_images(
    request: Request, principal: Caller, cursor: Cursor = None, limit: Limit = 20
) -> ImagePage:
    """My pictures, the last made first."""
    page = await get_container(request).images.page(principal.user_id, cursor=cursor, limit=limit)
    return ImagePage(items=[_stored(image) for image in page.items], next_cursor=page.next_cursor)


@router.get(
    "/images/{image_id}",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        **document_errors(401, 403, 404),
    },
)
async def read_image(request: Request, image_id: str, principal: Caller) -> Response:
    """The picture itself; what is in it never changes."""
    images = get_container(request).images
    image = await images.find(principal.user_id, parse_id(image_id))
    etag = f'"{image.digest}"'
    headers = {
        "etag": etag,
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{image.id}.{image.content_type.partition("/")[2]}"',
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if _has(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(await images.content(image), media_type=image.content_type, headers=headers)


@router.delete("/images/{image_id}", status_code=204, responses=document_errors(401, 403, 404))
async def delete_image(request: Request, image_id: str, principal: Caller) -> None:
    """Deletes the picture; what it cost stays in the ledger."""
    await get_container(request).images.delete(principal.user_id, parse_id(image_id))


async def last_of(events: AsyncGenerator[MediaEvent, None]) -> PicturesMade:
    """The pictures, where nobody reads the progress."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, PicturesMade):
                return event
    raise GatewayError


def note_pictures(request: Request, made: PicturesMade) -> None:
    """Leave the model and its provider for the access log."""
    request.state.upstream, request.state.model = made.provider, made.model
    if made.fallback_from is not None:
        request.state.fallback_model = made.model


async def _frames(
    first: MediaEvent, events: AsyncGenerator[MediaEvent, None], request: Request
) -> AsyncGenerator[bytes, None]:
    number = 1
    async with aclosing(events):
        yield _frame(first, number)
        try:
            async for event in events:
                number += 1
                if isinstance(event, PicturesMade):
                    note_pictures(request, event)
                yield _frame(event, number)
        except GatewayError as error:
            _, _, body = render_error(error, request.state.request_id)
            request.state.ended_as = "no_pictures"
            yield frame(orjson.dumps(body), event="error", event_id=number + 1)


def _has(header: str, etag: str) -> bool:
    """Whether an `If-None-Match` names the picture, also weakly or among others."""
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag in tags or "*" in tags


def _frame(event: MediaEvent, number: int) -> bytes:
    if isinstance(event, ImageProgress):
        data = orjson.dumps({"fraction": event.fraction, "step": event.step})
        return frame(data, event="progress", event_id=number)
    return frame(orjson.dumps(made_body(event)), event="done", event_id=number)


def made_body(made: PicturesMade) -> dict[str, Any]:
    """The JSON answer, which is also the data of `done`."""
    return {
        "images": [_image(image) for image in made.images],
        "provider": made.provider,
        "model": made.model,
        "seed": made.seed,
        "cost_usd": money(made.cost_usd),
        "request_id": made.request_id,
    }


def headers_of(made: PicturesMade) -> dict[str, str]:
    """The `x-gateway-*` headers of pictures."""
    headers = {
        "x-gateway-model": made.model,
        "x-gateway-provider": made.provider,
        "x-gateway-cost-usd": money(made.cost_usd),
    }
    if made.fallback_from is not None:
        headers["x-fallback-model"] = made.model
    return headers


def _image(image: StoredImage) -> dict[str, Any]:
    return {
        "id": str(image.id),
        "url": image.address,
        "width": image.width,
        "height": image.height,
        "content_type": image.content_type,
    }


def _stored(image: StoredImage) -> StoredImageOut:
    return StoredImageOut.model_construct(
        id=image.id,
        url=image.address,
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
