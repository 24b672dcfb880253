"""Turns of kept conversations: `/api/chat` in JSON and as a stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.native import NativeEncoder, TurnBody, answer_body, parse_turn
from gateway.dialects.sse import open_stream
from gateway.domain.principal import Principal
from gateway.routers.answers import answer_response, noting
from gateway.routers.dependencies import get_container, service_or_person
from gateway.routers.edge import json_bytes
from gateway.routers.openapi import json_body

router = APIRouter(prefix="/api/chat", tags=["chat"])

Caller = Annotated[Principal, Depends(service_or_person("chat"))]

_ANSWER_EXAMPLE = {
    "conversation_id": "0199…",
    "request_id": "req_…",
    "cache": "bypass",
    "message": {"id": "0199…", "role": "assistant", "content": "…", "status": "complete"},
    "receipt": {"intent": "question", "complexity": 0.31, "model": "…", "reason": "…"},
}
_REQUEST: dict[str, Any] = {"requestBody": json_body(TurnBody)}


@router.post(
    "",
    summary="One turn, as JSON",
    openapi_extra=_REQUEST,
    responses={200: {"content": {"application/json": {"example": _ANSWER_EXAMPLE}}}},
)
async def chat(request: Request, principal: Caller) -> Response:
    """Ask a question in a conversation (a new one where `conversation_id` is left out)."""
    turn = parse_turn(await json_bytes(request), request.state.request_id, incremental=False)
    answer = await get_container(request).chat.answer(turn, principal)
    return answer_response(request, answer, answer_body(answer))


@router.post(
    "/stream",
    summary="One turn, as server-sent events",
    openapi_extra=_REQUEST,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def chat_stream(request: Request, principal: Caller) -> Response:
    """The same turn as named events: turn, route, delta…, then exactly one of done and error."""
    turn = parse_turn(await json_bytes(request), request.state.request_id, incremental=True)
    return await open_stream(
        get_container(request).chat.stream(turn, principal), NativeEncoder(), noting(request)
    )
