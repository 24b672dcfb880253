"""OpenAI's `/v1/responses`: create as JSON or as a stream, read, cancel and delete."""

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
from gateway.dialects.openai.responses.body import ResponsesBody
from gateway.dialects.openai.responses.input import input_items
from gateway.dialects.openai.responses.output import from_answer, from_stored
from gateway.dialects.openai.responses.references import referenced_ids, resolve_references, stored_items
from gateway.dialects.openai.responses.replay import ResponseReplay
from gateway.dialects.openai.responses.request import (
    OPENAI_PARAM_NAMES,
    ParsedResponseRequest,
    parse_response,
    parse_response_id,
)
from gateway.dialects.openai.responses.stream import ResponsesEncoder
from gateway.dialects.sse import start_stream, stream_response
from gateway.domain.accounts.principal import Principal
from gateway.routers.body import read_json_bytes
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY, json_body
from gateway.routers.response_headers import answer_response, request_scope, upstream_recorder
from gateway.schemas.response import DeletedResponse, InputItems, ResponseView
from gateway.services.chat.stored_responses import StoredResponse
from gateway.services.roles.apply import apply_role
from gateway.services.streams.resumption import ResumableTurn

if TYPE_CHECKING:
    from gateway.bootstrap.container import Container

router = APIRouter(prefix="/v1/responses", tags=["openai"])

ApiKeyCaller = Annotated[Principal, Depends(api_key_only("chat"))]
# Maximum wait for a cancelled turn; it ends within milliseconds unless its worker is gone.
_CANCEL_SECONDS = 5.0
_STREAM = 'event: response.created\ndata: {"type": "response.created", "sequence_number": 0}\n\n'


@router.post(
    "",
    summary="A response, as JSON or as a stream",
    openapi_extra={"requestBody": json_body(ResponsesBody), **IDEMPOTENCY_KEY},
    responses={
        200: {"model": ResponseView, "content": {"text/event-stream": {"example": _STREAM}}},
        **document_errors(400, 404, 409, 502, 504),
    },
)
async def create_response(request: Request, principal: ApiKeyCaller) -> Response:
    """OpenAI's body; the gateway's own fields are under `gateway`.

    A stored response (`store`, true by default) is a turn of a conversation, which its owner sees under
    `/api/conversations`; `previous_response_id` continues it.
    """
    parsed = parse_response(await read_json_bytes(request), request.state.request_id)
    try:
        return await run_idempotent(request, principal, lambda: _create(request, parsed, principal))
    except GatewayError as error:
        error.param = OPENAI_PARAM_NAMES.get(error.param or "", error.param)
        raise


async def _create(request: Request, parsed: ParsedResponseRequest, principal: Principal) -> Response:
    container = get_container(request)
    parsed = await _resolve_references(parsed, container, principal)
    turn = await container.chat.stored_responses.continue_from(
        parsed.turn, parsed.previous_id, parsed.parameters, principal.user_id, store=parsed.store
    )
    turn = apply_role(turn, container.roles.registry, container.catalog)
    if parsed.use_gateway_search and container.operations.model_catalog.offers_tool(
        "web_search", turn.model, principal
    ):
        turn = replace(turn, gateway_tools=("web_search",))
    unstored_id = new_id()
    if turn.stream:
        encoder = ResponsesEncoder(
            unstored_id,
            parsed.parameters,
            tools=bool(turn.client_tools),
            include_encrypted=parsed.include_encrypted,
        )
        events = container.chat.service.stream(turn, request_scope(request, principal))
        return await start_stream(events, encoder, upstream_recorder(request))
    answer = await container.chat.service.answer(turn, request_scope(request, principal))
    id_ = unstored_id if answer.message_id is None else UUID(answer.message_id)
    return answer_response(
        request,
        answer,
        from_answer(answer, id_, parsed.parameters, include_encrypted=parsed.include_encrypted),
    )


async def _resolve_references(
    parsed: ParsedResponseRequest, container: Container, principal: Principal
) -> ParsedResponseRequest:
    """Return the request with item references in its input resolved."""
    if not parsed.has_references:
        return parsed
    message_ids = referenced_ids(parsed.items)
    exchanges = (
        await container.chat.stored_responses.find_by_messages(principal.user_id, message_ids)
        if message_ids
        else []
    )
    return parsed.with_items(resolve_references(parsed.items, stored_items(exchanges)))


@router.get(
    "/{response_id}",
    summary="A stored response",
    response_model=ResponseView,
    responses={
        200: {"content": {"text/event-stream": {"example": _STREAM}}},
        **document_errors(400, 404),
    },
)
async def read_response(response_id: str, request: Request, principal: ApiKeyCaller) -> Response:
    """Return a response as it was, without reasoning and logprobs.

    404 if it is not stored for this account.

    With `stream=true` as events from the beginning, also while it is still in progress.
    """
    id_, query = parse_response_id(response_id), request.query_params
    if query.get("starting_after") is not None:
        raise UnsupportedParameter(
            "A stored response is always streamed from the beginning. Omit starting_after.",
            param="starting_after",
        )
    stored_response = await get_container(request).chat.stored_responses.read(principal.user_id, id_)
    if query.get("stream") != "true":
        return _json(from_stored(stored_response.answer, stored_response.question))
    resumption = get_container(request).streams.resumption
    turn = await resumption.find(principal.user_id, id_)
    return stream_response(_replay_events(request, turn, stored_response))


async def _replay_events(
    request: Request, turn: ResumableTurn, response: StoredResponse
) -> AsyncIterator[bytes]:
    """Yield the events of a response from the beginning.

    Those of a completed one come from its stored message.
    """
    container, request_id = get_container(request), request.state.request_id
    replay = ResponseReplay(response)
    try:
        async with aclosing(container.streams.resumption.stream(turn, 0, request_id)) as events:
            async for _, event in events:
                if data := replay.encode(event):
                    yield data
    except GatewayError as error:
        yield replay.encode_error(error, request_id)


@router.post(
    "/{response_id}/cancel",
    summary="Cancel a response in progress",
    response_model=ResponseView,
    responses=document_errors(404),
)
async def cancel_response(response_id: str, request: Request, principal: ApiKeyCaller) -> Response:
    """Cancel the turn, on any worker, and store its partial text.

    A completed turn does not change.
    """
    container, id_ = get_container(request), parse_response_id(response_id)
    await container.streams.partial_answers.cancel_turn(principal.user_id, id_)
    await _wait_until_ended(container, principal, id_)
    stored_response = await container.chat.stored_responses.read(principal.user_id, id_)
    return _json(from_stored(stored_response.answer, stored_response.question))


async def _wait_until_ended(container: Container, principal: Principal, id_: UUID) -> None:
    """Wait for the turn to end, up to a few seconds."""
    turn = await container.streams.resumption.find(principal.user_id, id_)
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(_CANCEL_SECONDS),
            aclosing(container.streams.resumption.stream(turn, 0, "")) as events,
        ):
            async for _ in events:
                pass


@router.get(
    "/{response_id}/input_items",
    summary="Input items of a stored response",
    response_model=InputItems,
    responses=document_errors(404),
)
async def list_input_items(response_id: str, request: Request, principal: ApiKeyCaller) -> Response:
    """All items at once, in the order they were given."""
    id_ = parse_response_id(response_id)
    stored_response = await get_container(request).chat.stored_responses.read(principal.user_id, id_)
    question_id = stored_response.question.id if stored_response.question is not None else id_
    items = input_items(
        stored_response.messages, question_id, client_tools(stored_response.parameters.get("tools") or ())
    )
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
async def delete_response(response_id: str, request: Request, principal: ApiKeyCaller) -> Response:
    """Delete the answer, and its question if there is no other answer.

    409 if other responses continue it.
    """
    await get_container(request).chat.stored_responses.delete(
        principal.user_id, parse_response_id(response_id)
    )
    return _json({"id": response_id, "object": "response", "deleted": True})


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
