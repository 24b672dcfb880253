"""OpenAI's `/v1/chat/completions`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from gateway.dialects.openai.chat.body import ChatCompletionBody
from gateway.dialects.openai.chat.choices import ChoicesEncoder, start_choices
from gateway.dialects.openai.chat.request import parse_completion
from gateway.dialects.openai.chat.stream import ChatCompletionEncoder, completion_body
from gateway.dialects.sse import start_stream
from gateway.domain.accounts.principal import Principal
from gateway.domain.requests import Turn
from gateway.routers.body import read_json_bytes
from gateway.routers.dependencies import api_key_only, document_errors, get_container
from gateway.routers.idempotent import run_idempotent
from gateway.routers.openapi import IDEMPOTENCY_KEY, json_body
from gateway.routers.response_headers import answer_response, request_scope, upstream_recorder
from gateway.schemas.turn import CompletionView
from gateway.services.chat.choices import answer_choices, stream_choices
from gateway.services.roles.apply import apply_role

router = APIRouter(prefix="/v1", tags=["openai"])


@router.post(
    "/chat/completions",
    summary="A chat completion, as JSON or as a stream",
    openapi_extra={"requestBody": json_body(ChatCompletionBody), **IDEMPOTENCY_KEY},
    responses={
        200: {"model": CompletionView, "content": {"text/event-stream": {"example": "data: [DONE]\n\n"}}},
        **document_errors(400, 404, 502, 504),
    },
)
async def chat_completions(
    request: Request, principal: Annotated[Principal, Depends(api_key_only("chat"))]
) -> Response:
    """OpenAI's body; the gateway's own fields are under `gateway`."""
    turn, body = parse_completion(await read_json_bytes(request), request.state.request_id)
    container = get_container(request)
    if turn.role is not None:
        turn = apply_role(turn, container.roles.registry, container.catalog)
    return await run_idempotent(request, principal, lambda: _complete(request, turn, body, principal))


async def _complete(request: Request, turn: Turn, body: ChatCompletionBody, principal: Principal) -> Response:
    service, request_id = get_container(request).chat.service, turn.request_id
    multiple, custom = (body.n or 1) > 1, body.custom_tools
    if not turn.stream:
        if multiple:
            return await _complete_choices(request, turn, body, principal)
        answer = await service.answer(turn, request_scope(request, principal))
        return answer_response(request, answer, completion_body(answer, custom=custom))
    usage, tools = bool(body.stream_options and body.stream_options.include_usage), bool(turn.client_tools)
    if multiple:
        numbered = stream_choices(service, turn, body.n or 1, request_scope(request, principal))
        choices_encoder = ChoicesEncoder(
            request_id, body.n or 1, include_usage=usage, tools=tools, custom=custom
        )
        return await start_choices(numbered, choices_encoder, upstream_recorder(request))
    encoder = ChatCompletionEncoder(request_id, include_usage=usage, tools=tools, custom=custom)
    return await start_stream(
        service.stream(turn, request_scope(request, principal)), encoder, upstream_recorder(request)
    )


async def _complete_choices(
    request: Request, turn: Turn, body: ChatCompletionBody, principal: Principal
) -> Response:
    """Combine several answers.

    The headers name the first one's model and the total cost.
    """
    service = get_container(request).chat.service
    answers = await answer_choices(service, turn, body.n or 1, request_scope(request, principal))
    cost = sum((answer.cost_usd for answer in answers), Decimal(0))
    return answer_response(
        request, replace(answers[0], cost_usd=cost), completion_body(*answers, custom=body.custom_tools)
    )
