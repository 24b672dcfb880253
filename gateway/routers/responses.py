"""OpenAI's `/v1/responses`: created as JSON or as a stream, read back, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import GatewayError, UnsupportedParameter
from gateway.core.ids import new_id
from gateway.dialects.openai.client_tools import client_tools
from gateway.dialects.openai.references import items_of, referenced, resolved
from gateway.dialects.openai.responses import answered, stored
from gateway.dialects.openai.responses_body import ResponsesBody
from gateway.dialects.openai.responses_input import input_items
from gateway.dialects.openai.responses_replay import ResponseReplay
from gateway.dialects.openai.responses_request import (
    PARAMS,
    ResponseOrder,
    parse_response,
    parse_response_id,
)
from gateway.dialects.openai.responses_stream import ResponsesEncoder
from gateway.dialects.sse import open_stream, stream_response
from gateway.domain.principal import Principal
from gateway.routers.answers import answer_response, leaving, noting
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.edge import json_bytes
from gateway.routers.once import once
from gateway.routers.openapi import KEYED, json_body
from gateway.schemas.response import DeletedResponse, InputItems, ResponseView
from gateway.services.in_role import in_role
from gateway.services.responses import StoredResponse
from gateway.services.resumption import Found

if TYPE_CHECKING:
    from gateway.container import Container

router = APIRouter(prefix="/v1/responses", tags=["openai"])

Service = Annotated[Principal, Depends(api_key_only("chat"))]
# How long a cancelled turn is waited for; it ends within milliseconds unless its worker is gone.
_CANCEL_SECONDS = 5.0
_STREAM = 'event: response.created\ndata: {"type": "response.created", "sequence_number": 0}\n\n'


@router.post(
    "",
    summary="A response, as JSON or as a stream",
    openapi_extra={"requestBody": json_body(ResponsesBody), **KEYED},
    responses={
        200: {"model": ResponseView, "content": {"text/event-stream": {"example": _STREAM}}},
        **document_errors(400, 404, 409, 502, 504),
    },
)
async def create_response(request: Request, principal: Service) -> Response:
    """OpenAI's body; the gateway's own fields are under `gateway`.

    A stored response (`store`, true if left out) is a turn of a conversation, which its owner sees under
    `/api/conversations`; `previous_response_id` goes on with it.
    """
    order = parse_response(await json_bytes(request), request.state.request_id)
    try:
        return await once(request, principal, lambda: _created(request, order, principal))
    except GatewayError as error:
        error.param = PARAMS.get(error.param or "", error.param)
        raise


async def _created(request: Request, order: ResponseOrder, principal: Principal) -> Response:
    container = get_container(request)
    order = await _with_stored_items(order, container, principal)
    turn = await container.responses.follow(
        order.turn, order.previous, order.parameters, principal.user_id, store=order.store
    )
    turn = in_role(turn, container.roles, container.catalog)
    if order.web_search and container.models.offers_tool("web_search", turn.model, principal):
        turn = replace(turn, gateway_tools=("web_search",))
    unkept = new_id()
    if turn.incremental:
        encoder = ResponsesEncoder(
            unkept, order.parameters, tools=bool(turn.client_tools), sealed=order.sealed
        )
        events = container.chat.stream(turn, principal, leaving(request))
        return await open_stream(events, encoder, noting(request))
    answer = await container.chat.answer(turn, principal, leaving(request))
    id_ = unkept if answer.message_id is None else UUID(answer.message_id)
    return answer_response(request, answer, answered(answer, id_, order.parameters, sealed=order.sealed))


async def _with_stored_items(
    order: ResponseOrder, container: Container, principal: Principal
) -> ResponseOrder:
    """The order with the items that its input refers to by id."""
    if not order.refers:
        return order
    named = referenced(order.given)
    exchanges = await container.responses.named(principal.user_id, named) if named else []
    return order.with_items(resolved(order.given, items_of(exchanges)))


@router.get(
    "/{response_id}",
    summary="A stored response",
    response_model=ResponseView,
    responses={
        200: {"content": {"text/event-stream": {"example": _STREAM}}},
        **document_errors(400, 404),
    },
)
async def read_response(response_id: str, request: Request, principal: Service) -> Response:
    """As it was answered, without thoughts and logprobs; 404 for what is not stored, or another account's.

    With `stream=true` as events from its beginning, also while it is still being answered.
    """
    id_, wanted = parse_response_id(response_id), request.query_params
    if wanted.get("starting_after") is not None:
        raise UnsupportedParameter(
            "A stored response is streamed from its beginning; omit starting_after.", param="starting_after"
        )
    found = await get_container(request).responses.read(principal.user_id, id_)
    if wanted.get("stream") != "true":
        return _json(stored(found.answer, found.question))
    resumption = get_container(request).resumption
    turn = await resumption.find(principal.user_id, id_)
    return stream_response(_again(request, turn, found))


async def _again(request: Request, turn: Found, response: StoredResponse) -> AsyncIterator[bytes]:
    """The events of a response from its beginning; those of one that has ended are made of what is stored."""
    container, request_id = get_container(request), request.state.request_id
    replay = ResponseReplay(response)
    try:
        async with aclosing(container.resumption.follow(turn, 0, request_id)) as events:
            async for _, event in events:
                if data := replay.encode(event):
                    yield data
    except GatewayError as error:
        yield replay.failed(error, request_id)


@router.post(
    "/{response_id}/cancel",
    summary="Cancel a response that is being answered",
    response_model=ResponseView,
    responses=document_errors(404),
)
async def cancel_response(response_id: str, request: Request, principal: Service) -> Response:
    """Stops the turn on whichever worker it runs and keeps its text so far; after its end nothing changes."""
    container, id_ = get_container(request), parse_response_id(response_id)
    await container.keeper.cancel(principal.user_id, id_)
    await _ended(container, principal, id_)
    found = await container.responses.read(principal.user_id, id_)
    return _json(stored(found.answer, found.question))


async def _ended(container: Container, principal: Principal, id_: UUID) -> None:
    """Wait for the turn's end, for a few seconds at most."""
    turn = await container.resumption.find(principal.user_id, id_)
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(_CANCEL_SECONDS),
            aclosing(container.resumption.follow(turn, 0, "")) as events,
        ):
            async for _ in events:
                pass


@router.get(
    "/{response_id}/input_items",
    summary="What a stored response was asked",
    response_model=InputItems,
    responses=document_errors(404),
)
async def list_input_items(response_id: str, request: Request, principal: Service) -> Response:
    """All items at once, in the order they were given."""
    id_ = parse_response_id(response_id)
    found = await get_container(request).responses.read(principal.user_id, id_)
    of = found.question.id if found.question is not None else id_
    items = input_items(found.messages, of, client_tools(found.parameters.get("tools") or ()))
    return _json(
        {
            "object": "list",
            "data": items,
            "first_id": items[0]["id"] if items else None,
            "last_id": items[-1]["id"] if items else None,
            "has_more": False,
        }
    )


@router.delete(
    "/{response_id}",
    summary="Delete a stored response",
    response_model=DeletedResponse,
    responses=document_errors(404, 409),
)
async def delete_response(response_id: str, request: Request, principal: Service) -> Response:
    """With its question, where that has no other answer; 409 while others follow it."""
    await get_container(request).responses.delete(principal.user_id, parse_response_id(response_id))
    return _json({"id": response_id, "object": "response", "deleted": True})


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
