"""Turns of kept conversations: `/api/chat` in JSON and as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.body_allowance import MEDIUM_BODY
from gateway.core.exceptions import GatewayError
from gateway.core.ids import parse_id
from gateway.dialects.native import (
    AgainBody,
    NativeEncoder,
    TurnBody,
    answer_body,
    error_frame,
    parse_again,
    parse_turn,
)
from gateway.dialects.native_stored import ending_frame
from gateway.dialects.sse import open_stream, stream_response
from gateway.domain.chat import Turn
from gateway.domain.conversation import StoredMessage
from gateway.domain.events import TurnCompleted, TurnFailed
from gateway.domain.principal import Principal
from gateway.routers.answers import answer_response, leaving, noting
from gateway.routers.dependencies import document_errors, get_container, service_or_person
from gateway.routers.edge import EdgeRoute, body_limit, json_bytes, large_body
from gateway.routers.once import once
from gateway.routers.openapi import KEYED, json_body
from gateway.schemas.turn import AnswerView, CancelView
from gateway.services.resumption import Found, Resumption

router = APIRouter(prefix="/api/chat", tags=["chat"], route_class=EdgeRoute)

Caller = Annotated[Principal, Depends(service_or_person("chat", counts="turn"))]
Follower = Annotated[Principal, Depends(service_or_person("chat"))]

_REQUEST: dict[str, Any] = {"requestBody": json_body(TurnBody), **KEYED}
_STREAM = 'id: 3\nevent: delta\ndata: {"text": "Good morning"}\n\n'
_ERRORS = document_errors(400, 404, 409, 502, 504)


@router.post(
    "",
    summary="One turn, as JSON",
    openapi_extra=_REQUEST,
    responses={200: {"model": AnswerView}, **_ERRORS},
)
@large_body
async def chat(request: Request, principal: Caller) -> Response:
    """Ask a question in a conversation (a new one where `conversation_id` is left out)."""
    turn = parse_turn(await json_bytes(request), request.state.request_id, incremental=False)
    return await once(request, principal, lambda: _whole(request, turn, principal))


@router.post(
    "/stream",
    summary="One turn, as server-sent events",
    openapi_extra=_REQUEST,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": _STREAM}}}, **_ERRORS},
)
@large_body
async def chat_stream(request: Request, principal: Caller) -> Response:
    """The same turn as named events: turn, route, delta…, then exactly one of done and error."""
    turn = parse_turn(await json_bytes(request), request.state.request_id, incremental=True)
    return await once(request, principal, lambda: _streamed(request, turn, principal))


@router.post(
    "/{message_id}/regenerate",
    summary="Another answer to the same question",
    openapi_extra={"requestBody": {**json_body(AgainBody), "required": False}, **KEYED},
    responses={
        200: {"model": AnswerView, "content": {"text/event-stream": {"example": _STREAM}}},
        **_ERRORS,
    },
)
@body_limit(MEDIUM_BODY)
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
    answer = _streamed if streamed else _whole
    return await once(request, principal, lambda: answer(request, turn, principal), variant=streamed)


@router.get(
    "/stream/{message_id}",
    summary="A turn's stream again, and on",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": _STREAM}}}, **document_errors(404)},
)
async def resume(
    message_id: str,
    request: Request,
    principal: Follower,
    last_event_id: Annotated[
        str | None, Query(description="As the header, for clients that cannot set one.")
    ] = None,
) -> Response:
    """The events of a turn behind `Last-Event-ID` (all, without it), then those to come, to its end.

    Ids are those of the first stream, on every worker. What is not at hand any more, `replace` makes up for
    with the text so far. Any number of clients may follow a turn.
    """
    resumption = get_container(request).resumption
    found = await resumption.find(principal.user_id, parse_id(message_id))
    after = max(_event_id(request.headers.get("last-event-id")), _event_id(last_event_id))
    return stream_response(_again(resumption, found, after, request))


@router.post(
    "/{message_id}/cancel",
    summary="Call a running turn off",
    status_code=202,
    responses=document_errors(404),
)
async def cancel(message_id: str, request: Request, principal: Follower) -> CancelView:
    """Stops the turn on whichever worker it runs; its stream ends with `done`, its text so far is kept.

    `status` is the answer's as it was. Of a turn that has ended nothing changes.
    """
    answer_id = parse_id(message_id)
    status = await get_container(request).keeper.cancel(principal.user_id, answer_id)
    return CancelView(message_id=answer_id, status=status)


async def _again(resumption: Resumption, found: Found, after: int, request: Request) -> AsyncIterator[bytes]:
    encoder, note, request_id = NativeEncoder(), noting(request), request.state.request_id
    number = after
    try:
        async with aclosing(resumption.follow(found, after, request_id)) as events:
            async for number, event in events:
                if isinstance(event, StoredMessage):
                    assert found.conversation_id is not None
                    yield ending_frame(found.conversation_id, event, request_id, number)
                    return
                if isinstance(event, (TurnCompleted, TurnFailed)) and event.answer is not None:
                    note(event.answer)
                if (data := encoder.encode_as(number, event)) is not None:
                    yield data
    except GatewayError as error:
        yield error_frame(error, request_id, number + 1)


def _event_id(text: str | None) -> int:
    """What a client says it has been told; nothing where that is no number of ours."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


async def _whole(request: Request, turn: Turn, principal: Principal) -> Response:
    answer = await get_container(request).chat.answer(turn, principal, leaving(request))
    return answer_response(request, answer, answer_body(answer))


async def _streamed(request: Request, turn: Turn, principal: Principal) -> Response:
    events = get_container(request).chat.stream(turn, principal, leaving(request))
    return await open_stream(events, NativeEncoder(), noting(request))
