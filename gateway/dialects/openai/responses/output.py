"""Encodes answers as OpenAI's `response` objects, from live turns and stored messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.core.exceptions import ContentBlocked, GatewayError, UpstreamRateLimited
from gateway.dialects.openai.client_tools import ClientTools, client_tools
from gateway.dialects.openai.responses.input import call_fields
from gateway.dialects.openai.responses.reasoning import encode_reasoning
from gateway.dialects.openai.responses.request import response_id
from gateway.domain.conversations.models import StoredMessage
from gateway.domain.conversations.stored_messages import calls_from_storage
from gateway.domain.events import Answer
from gateway.domain.messages import ToolCall
from gateway.domain.money import Usage

_STATUS_NAMES = {
    "pending": "in_progress",
    "streaming": "in_progress",
    "complete": "completed",
    "cancelled": "cancelled",
}
_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


# One parameter per field of the object.
def response_body(
    id_: UUID,
    created_at: float,
    model: str,
    parameters: dict[str, Any],
    *,
    status: str,
    output: Sequence[dict[str, Any]] = (),
    usage: Usage | None = None,
    error: dict[str, Any] | None = None,
    incomplete: str | None = None,
) -> dict[str, Any]:
    """Return a `response`; `incomplete` is the reason if the answer was cut off."""
    body = {
        "id": response_id(id_),
        "object": "response",
        "created_at": int(created_at),
        "status": status,
        "error": error,
        "incomplete_details": None if incomplete is None else {"reason": incomplete},
        "model": model,
        "output": list(output),
        **parameters,
    }
    if usage is not None:  # OpenAI's schema does not allow null
        body["usage"] = _usage(usage)
    return body


def from_answer(
    answer: Answer, id_: UUID, parameters: dict[str, Any], *, include_encrypted: bool = False
) -> dict[str, Any]:
    """Return the `response` of a completed turn.

    Args:
        include_encrypted: see `reasoning_item`.

    Raises:
        ContentBlocked: a guardrail withheld the answer.
    """
    raise_if_blocked(answer)
    reason = _INCOMPLETE_REASONS.get(answer.finish_reason or "")
    return response_body(
        id_,
        answer.created_at.timestamp(),
        answer.model,
        parameters,
        status="incomplete" if reason else _STATUS_NAMES.get(answer.status, "failed"),
        output=_output_items(
            id_,
            "incomplete" if reason else "completed",
            answer.content,
            answer.tool_calls,
            client_tools(parameters.get("tools") or ()),
            reasoning=answer.reasoning,
            refused=answer.refused,
            logprobs=answer.logprobs,
            include_encrypted=include_encrypted,
        ),
        usage=answer.usage,
        incomplete=reason,
    )


def from_stored(answer: StoredMessage, question: StoredMessage | None) -> dict[str, Any]:
    """Return the `response` of a stored answer.

    Reasoning and logprobs are not stored.
    """
    reason = _INCOMPLETE_REASONS.get(answer.finish_reason or "")
    status = _STATUS_NAMES.get(answer.status, "failed")
    if status == "completed" and reason:
        status = "incomplete"
    error = answer.error
    stored_parameters = (question.request or {}).get("parameters") if question is not None else None
    parameters = stored_parameters or DEFAULT_PARAMETERS
    return response_body(
        answer.id,
        answer.created_at.timestamp(),
        answer.model or "",
        parameters,
        status=status,
        output=_output_items(
            answer.id,
            "completed" if status == "completed" else "incomplete",
            answer.content,
            calls_from_storage(answer.tool_calls),
            client_tools(parameters.get("tools") or ()),
        ),
        usage=answer.usage,
        error={"code": "server_error", "message": error["message"]} if error is not None else None,
        incomplete=reason if status == "incomplete" else None,
    )


# Parameters shown for an answer that was not created as a response.
DEFAULT_PARAMETERS: dict[str, Any] = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "auto",
}


def raise_if_blocked(answer: Answer) -> None:
    """Raise ContentBlocked if a guardrail refused the question."""
    if answer.blocked_reason is not None:
        raise ContentBlocked(f"A guardrail blocked this request: {answer.blocked_reason}", param="input")


def response_error(error: GatewayError) -> dict[str, Any]:
    """Return the `error` of a failed response with OpenAI's codes."""
    limited = isinstance(error, UpstreamRateLimited)
    return {"code": "rate_limit_exceeded" if limited else "server_error", "message": error.message}


def reasoning_item(id_: str, text: str, status: str, include_encrypted: bool = False) -> dict[str, Any]:
    """Return a reasoning item.

    `include_encrypted` adds the form that clients send back.
    """
    content = [{"type": "reasoning_text", "text": text}] if text else []
    item = {"id": id_, "type": "reasoning", "summary": [], "content": content, "status": status}
    return item | ({"encrypted_content": encode_reasoning(text)} if include_encrypted and text else {})


def message_item(id_: str, parts: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": parts}


def call_item(number: str, call: ToolCall, status: str, tools: ClientTools) -> dict[str, Any]:
    """Return a tool call item; `number` follows the type prefix in its id."""
    fields = call_fields(call, tools)
    if fields["type"] == "custom_tool_call":
        return {"id": f"ctc_{number}", **fields, "status": status}
    return {"id": f"fc_{number}", **fields, "status": status}


def text_part(text: str, refused: bool, logprobs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a message part: text or a refusal."""
    if refused:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


# One parameter per field of the items.
def _output_items(
    id_: UUID,
    status: str,
    content: str,
    calls: Sequence[ToolCall],
    tools: ClientTools,
    *,
    reasoning: str = "",
    refused: bool = False,
    logprobs: Sequence[dict[str, Any]] = (),
    include_encrypted: bool = False,
) -> list[dict[str, Any]]:
    """Return the items, numbered per type so that omitting one keeps the other ids."""
    output = [reasoning_item(f"rs_{id_.hex}_0", reasoning, status, include_encrypted)] if reasoning else []
    if content:
        parts = [text_part(content, refused, logprobs)]
        output.append(message_item(f"msg_{id_.hex}_0", parts, status))
    output += [call_item(f"{id_.hex}_{index}", call, status, tools) for index, call in enumerate(calls)]
    return output


def _usage(usage: Usage) -> dict[str, Any]:
    """Return OpenAI's usage object for responses."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
