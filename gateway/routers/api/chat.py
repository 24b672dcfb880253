"""Routes for turns of persisted conversations: `/api/chat`, as JSON and as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from gateway.core.body_limit import MEDIUM_BODY
from gateway.core.exceptions import GatewayError
from gateway.core.ids import parse_id
from gateway.dialects.native.request import RegenerateBody, TurnBody, parse_regenerate, parse_turn
from gateway.dialects.native.stored import final_event
from gateway.dialects.native.stream import NativeEncoder, answer_body, error_event
from gateway.dialects.sse import start_stream, stream_response
from gateway.domain.accounts.principal import Principal
from gateway.domain.conversations.models import StoredMessage
from gateway.domain.events import TurnCompleted, TurnFailed
from gateway.domain.requests import Turn
from gateway.routers.body import StrictJsonRoute, body_limit, large_body, read_json_bytes
from gateway.routers.dependencies import document_errors, get_container, user_or_api_key
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY, json_body
from gateway.routers.response_headers import answer_response, request_scope, upstream_recorder
from gateway.schemas.turn import AnswerView, CancelView
from gateway.services.streams.resumption import ResumableTurn, StreamResumption

router = APIRouter(prefix="/api/chat", tags=["chat"], route_class=StrictJsonRoute)

ChatCaller = Annotated[Principal, Depends(user_or_api_key("chat", rate_category="turn"))]
ReadCaller = Annotated[Principal, Depends(user_or_api_key("chat"))]

_REQUEST: dict[str, Any] = {"requestBody": json_body(TurnBody), **IDEMPOTENCY_KEY}
_STREAM = 'id: 3\nevent: delta\ndata: {"text": "Good morning"}\n\n'
_ERRORS = document_errors(400, 404, 409, 502, 504)


@router.post(
    "",
    summary="One turn, as JSON",
    openapi_extra=_REQUEST,
    responses={200: {"model": AnswerView}, **_ERRORS},
)
@large_body
async def chat(request: Request, principal: ChatCaller) -> Response:
    """Ask a question in a conversation; without `conversation_id` a new one starts."""
    turn = parse_turn(await read_json_bytes(request), request.state.request_id, stream=False)
    return await run_idempotent(request, principal, lambda: _answer_as_json(request, turn, principal))


@router.post(
    "/stream",
    summary="One turn, as server-sent events",
    openapi_extra=_REQUEST,
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": _STREAM}}}, **_ERRORS},
)
@large_body
async def chat_stream(request: Request, principal: ChatCaller) -> Response:
    """The same turn as named events: turn, route, delta…, then exactly one of done and error."""
    turn = parse_turn(await read_json_bytes(request), request.state.request_id, stream=True)
    return await run_idempotent(request, principal, lambda: _answer_as_stream(request, turn, principal))


@router.post(
    "/{message_id}/regenerate",
    summary="Regenerate an answer",
    openapi_extra={"requestBody": {**json_body(RegenerateBody), "required": False}, **IDEMPOTENCY_KEY},
    responses={
        200: {"model": AnswerView, "content": {"text/event-stream": {"example": _STREAM}}},
        **_ERRORS,
    },
)
@body_limit(MEDIUM_BODY)
async def regenerate(message_id: str, request: Request, principal: ChatCaller) -> Response:
    """Generate another answer to a question of a conversation, bypassing the caches.

    `message_id` is the question or an answer to it. The new answer becomes a sibling of the others
    (`siblings`) and the head of the conversation. The response is server-sent events if `Accept` contains
    `text/event-stream`, else JSON.
    """
    streamed = "text/event-stream" in request.headers.get("accept", "")
    body = await request.body()
    turn = parse_regenerate(
        message_id,
        await read_json_bytes(request) if body else b"",
        request.state.request_id,
        stream=streamed,
    )
    answer = _answer_as_stream if streamed else _answer_as_json
    return await run_idempotent(
        request, principal, lambda: answer(request, turn, principal), variant=streamed
    )


@router.get(
    "/stream/{message_id}",
    summary="Resume a turn's stream",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": _STREAM}}}, **document_errors(404)},
)
async def resume(
    message_id: str,
    request: Request,
    principal: ReadCaller,
    last_event_id: Annotated[
        str | None, Query(description="Same as the header, for clients that cannot set it.")
    ] = None,
) -> Response:
    """Replay the events after `Last-Event-ID`, then continue to the end of the turn.

    Event ids are those of the original stream, on every worker. Events that are no longer available are
    replaced by one `replace` event with the text so far. Any number of clients may read the stream of a turn.
    """
    resumption = get_container(request).streams.resumption
    turn = await resumption.find(principal.user_id, parse_id(message_id))
    last_sent = max(_parse_event_id(request.headers.get("last-event-id")), _parse_event_id(last_event_id))
    return stream_response(_resume_frames(resumption, turn, last_sent, request))


@router.post(
    "/{message_id}/cancel",
    summary="Cancel a running turn",
    status_code=202,
    responses=document_errors(404),
)
async def cancel(message_id: str, request: Request, principal: ReadCaller) -> CancelView:
    """Cancel the turn, on any worker.

    Its stream ends with `done`, and its partial text is stored.

    `status` is the answer's previous status. A turn that has already ended does not change.
    """
    answer_id = parse_id(message_id)
    status = await get_container(request).streams.partial_answers.cancel_turn(principal.user_id, answer_id)
    return CancelView(message_id=answer_id, status=status)


async def _resume_frames(
    resumption: StreamResumption, turn: ResumableTurn, last_sent: int, request: Request
) -> AsyncIterator[bytes]:
    encoder, record, request_id = NativeEncoder(), upstream_recorder(request), request.state.request_id
    number = last_sent
    try:
        async with aclosing(resumption.stream(turn, last_sent, request_id)) as events:
            async for number, event in events:
                if isinstance(event, StoredMessage):
                    assert turn.conversation_id is not None
                    yield final_event(turn.conversation_id, event, request_id, number)
                    return
                if isinstance(event, (TurnCompleted, TurnFailed)) and event.answer is not None:
                    record(event.answer)
                if (data := encoder.encode_numbered(number, event)) is not None:
                    yield data
    except GatewayError as error:
        yield error_event(error, request_id, number + 1)


def _parse_event_id(text: str | None) -> int:
    """Parse the last event id that a client received; 0 if it is not one of ours."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


async def _answer_as_json(request: Request, turn: Turn, principal: Principal) -> Response:
    answer = await get_container(request).chat.service.answer(turn, request_scope(request, principal))
    return answer_response(request, answer, answer_body(answer))


async def _answer_as_stream(request: Request, turn: Turn, principal: Principal) -> Response:
    events = get_container(request).chat.service.stream(turn, request_scope(request, principal))
    return await start_stream(events, NativeEncoder(), upstream_recorder(request))
