"""OpenAI's `/v1/responses`: created as JSON or as a stream, read back, deleted."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import GatewayError, UnsupportedParameter
from gateway.core.ids import new_id
from gateway.dialects.openai.responses import answered, stored
from gateway.dialects.openai.responses_body import ResponsesBody
from gateway.dialects.openai.responses_input import input_items
from gateway.dialects.openai.responses_request import (
    PARAMS,
    ResponseOrder,
    parse_response,
    parse_response_id,
)
from gateway.dialects.openai.responses_stream import ResponsesEncoder
from gateway.dialects.sse import open_stream
from gateway.domain.principal import Principal
from gateway.routers.answers import answer_response, leaving, noting
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.edge import json_bytes
from gateway.routers.once import once
from gateway.routers.openapi import KEYED, json_body
from gateway.schemas.response import DeletedResponse, InputItems, ResponseView
from gateway.services.in_role import in_role

router = APIRouter(prefix="/v1/responses", tags=["openai"])

Service = Annotated[Principal, Depends(api_key_only("chat"))]
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
    turn = await container.responses.follow(
        order.turn, order.previous, order.parameters, principal.user_id, store=order.store
    )
    turn = in_role(turn, container.roles, container.catalog)
    unkept = new_id()
    if turn.incremental:
        encoder = ResponsesEncoder(unkept, order.parameters, tools=bool(turn.client_tools))
        events = container.chat.stream(turn, principal, leaving(request))
        return await open_stream(events, encoder, noting(request))
    answer = await container.chat.answer(turn, principal, leaving(request))
    id_ = unkept if answer.message_id is None else UUID(answer.message_id)
    return answer_response(request, answer, answered(answer, id_, order.parameters))


@router.get(
    "/{response_id}",
    summary="A stored response",
    response_model=ResponseView,
    responses=document_errors(400, 404),
)
async def read_response(response_id: str, request: Request, principal: Service) -> Response:
    """As it was answered, without thoughts and logprobs; 404 for what is not stored, or another account's."""
    if request.query_params.get("stream") == "true":
        raise UnsupportedParameter("A stored response is not streamed again.", param="stream")
    found = await get_container(request).responses.read(principal.user_id, parse_response_id(response_id))
    return _json(stored(found.answer, found.question))


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
    items = input_items(found.messages, found.question.id if found.question is not None else id_)
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
