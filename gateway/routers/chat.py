"""Turns of kept conversations: `/api/chat` in JSON and as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.exceptions import GatewayError
from gateway.core.ids import parse_id
from gateway.dialects.errors import render_error
from gateway.dialects.native import (
    AgainBody,
    NativeEncoder,
    TurnBody,
    answer_body,
    parse_again,
    parse_turn,
)
from gateway.dialects.native_stored import ending_frames, turn_frame
from gateway.dialects.sse import frame, open_stream, stream_response
from gateway.domain.chat import Turn
from gateway.domain.principal import Principal
from gateway.routers.answers import answer_response, leaving, noting
from gateway.routers.dependencies import document_errors, get_container, service_or_person
from gateway.routers.edge import json_bytes
from gateway.routers.openapi import json_body
from gateway.schemas.turn import AnswerView

router = APIRouter(prefix="/api/chat", tags=["chat"])

Caller = Annotated[Principal, Depends(service_or_person("chat"))]

_REQUEST: dict[str, Any] = {"requestBody": json_body(TurnBody)}
_STREAM = 'id: 3\nevent: delta\ndata: {"text": "Good morning"}\n\n'
_ERRORS = document_errors(400, 404, 409, 502, 504)


@router.post(
    "",
    summary="One turn, as JSON",
    openapi_extra=_REQUEST,
    responses={200: {"model": AnswerView}, **_ERRORS},
)
async def chat(request: Request, principal: Caller) -> Response:
    """Ask a question in a conversation (a new one where `conversation_id` is left out)."""
    turn = parse_turn(await json_bytes(request), request.state.request_id, incremental=False)
    return await _whole(request, turn, principal)


@router.post(
    "/stream",
    summary="One turn, as server-sent events",
    openapi_extra=_REQUEST,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": _STREAM}}}, **_ERRORS},
)
async def chat_stream(request: Request, principal: Caller) -> Response:
    """The same turn as named events: turn, route, delta…, then exactly one of done and error."""
    turn = parse_turn(await json_bytes(request), request.state.request_id, incremental=True)
    return await _streamed(request, turn, principal)


@router.post(
    "/{message_id}/regenerate",
    summary="Another answer to the same question",
    openapi_extra={"requestBody": {**json_body(AgainBody), "required": False}},
    responses={
        200: {"model": AnswerView, "content": {"text/event-stream": {"example": _STREAM}}},
        **_ERRORS,
    },
)
async def regenerate(message_id: str, request: Request, principal: Caller) -> Response:
    """Answers a question of a conversation once more, past the caches.

    `message_id` is the question or an answer to it. The new answer stands beside the others (`siblings`) and
    becomes the conversation's head. Server-sent events where `Accept` names `text/event-stream`, else JSON.
    """
    streamed = "text/event-stream" in request.headers.get("accept", "")
    body = await request.body()
    turn = parse_again(
        message_id, await json_bytes(request) if body else b"", request.state.request_id, incremental=streamed
    )
    return await (_streamed if streamed else _whole)(request, turn, principal)


@router.get(
    "/stream/{message_id}",
    summary="The end of a turn whose stream was lost",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": _STREAM}}}, **document_errors(404)},
)
async def resume(message_id: str, request: Request, principal: Caller) -> Response:
    """Waits for the turn's end and tells it: turn, replace (the whole text), then one of done and error.

    `Last-Event-ID` makes the ids go on where the lost stream had come to.
    """
    resumption = get_container(request).resumption
    user_id, answer_id = principal.user_id, parse_id(message_id)
    conversation_id, message = await resumption.find(user_id, answer_id)
    request_id = request.state.request_id
    after = _last_event_id(request)

    async def frames() -> AsyncIterator[bytes]:
        if not after:
            yield turn_frame(conversation_id, message, request_id)
        try:
            ended = await resumption.ended(user_id, answer_id)
        except GatewayError as error:
            _, _, body = render_error(error, request_id)
            yield frame(orjson.dumps(body), event="error", event_id=after + 1)
            return
        for data in ending_frames(conversation_id, ended, request_id, after or 1):
            yield data

    return stream_response(frames())


def _last_event_id(request: Request) -> int:
    text = request.headers.get("last-event-id", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


async def _whole(request: Request, turn: Turn, principal: Principal) -> Response:
    answer = await get_container(request).chat.answer(turn, principal, leaving(request))
    return answer_response(request, answer, answer_body(answer))


async def _streamed(request: Request, turn: Turn, principal: Principal) -> Response:
    events = get_container(request).chat.stream(turn, principal)
    return await open_stream(events, NativeEncoder(), noting(request))
