"""OpenTelemetry spans of model and tool calls.

Attributes follow the GenAI semantic conventions v0.1
(https://github.com/open-telemetry/semantic-conventions-genai); names under `gateway.` are specific to us.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import orjson

from gateway.agent.model_call.response_accumulator import ResponseAccumulator
from gateway.core.tracing import Attributes, Span, captures_content, span
from gateway.domain.events import ModelCall, VendorResponse
from gateway.domain.messages import Message, ToolCall
from gateway.domain.requests import ChatRequest
from gateway.providers.base import ChatProvider
from gateway.providers.registry import PROVIDER_TYPES
from gateway.tools.result import ToolResult

_MAX_CONTENT_CHARACTERS = 64 * 1024


def model_span(provider: ChatProvider, model: str, request: ChatRequest) -> Span:
    """Span around one model call; `model` is the name in the catalog."""
    call_span = span(f"chat {request.model}", "client")
    if call_span.recording:
        call_span.set_attributes(
            {
                **_request_attributes(provider, request),
                "gateway.model": model,
                "gateway.upstream": provider.name,
            }
        )
        if captures_content():
            call_span.set_attributes({"gen_ai.input.messages": _encode_messages(request.messages)})
    return call_span


def end_model_span(call_span: Span, model_call: ModelCall, accumulated: ResponseAccumulator) -> None:
    """Record the result of the call; call it within the span."""
    if not call_span.recording:
        return
    response = accumulated.response or VendorResponse()
    call_span.set_attributes(
        {
            "gen_ai.response.id": response.id,
            "gen_ai.response.model": response.model,
            "gen_ai.response.finish_reasons": [accumulated.finish_reason]
            if accumulated.finish_reason
            else None,
            "gen_ai.response.time_to_first_chunk": None
            if model_call.first_ms is None
            else model_call.first_ms / 1000,
            "gen_ai.usage.input_tokens": model_call.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": model_call.usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": model_call.usage.cached_tokens or None,
            "gen_ai.usage.cache_creation.input_tokens": model_call.usage.cache_write_tokens or None,
            "gateway.cost_usd": float(model_call.cost_usd),
        }
    )
    if model_call.outcome not in ("ok", "cancelled"):
        call_span.set_error(model_call.outcome)
    if captures_content():
        answer = Message("assistant", accumulated.text, tool_calls=accumulated.tool_calls())
        call_span.set_attributes({"gen_ai.output.messages": _encode_messages((answer,))})


def tool_span(call: ToolCall, known_tools: Iterable[str]) -> Span:
    """Span around one tool run; names that a model invented are not recorded."""
    name = call.name if call.name in known_tools else "unknown"
    run_span = span(f"execute_tool {name}")
    if run_span.recording:
        run_span.set_attributes(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": call.id,
                "gen_ai.tool.call.arguments": call.arguments[:_MAX_CONTENT_CHARACTERS]
                if captures_content()
                else None,
                "langsmith.span.kind": "tool",
            }
        )
    return run_span


def end_tool_span(run_span: Span, result: ToolResult) -> None:
    if not run_span.recording:
        return
    if not result.ok:
        run_span.set_error(result.error or "failed")
    if captures_content():
        run_span.set_attributes({"gen_ai.tool.call.result": result.content[:_MAX_CONTENT_CHARACTERS]})


def _request_attributes(provider: ChatProvider, request: ChatRequest) -> Attributes:
    sampling = request.sampling
    address = urlsplit(provider.config.base_url or "")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER_TYPES[provider.type].otel_name,
        "gen_ai.request.model": request.model,
        "gen_ai.request.stream": request.stream or None,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.output.type": "json" if request.response_format is not None else None,
        "server.address": address.hostname,
        "server.port": _port(address.port, address.scheme),
        "langsmith.span.kind": "llm",
    }


def _port(explicit: int | None, scheme: str) -> int | None:
    return explicit or {"https": 443, "http": 80}.get(scheme)


def _encode_messages(messages: Iterable[Message]) -> str:
    """Messages as the conventions encode them, in JSON; images without their content."""
    return orjson.dumps([_encode_message(one) for one in messages], default=str).decode()[
        :_MAX_CONTENT_CHARACTERS
    ]


def _encode_message(message: Message) -> dict[str, object]:
    if message.role == "tool":
        answer = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return {"role": "tool", "parts": [answer]}
    parts: list[dict[str, object]] = []
    if message.text:
        parts.append({"type": "text", "content": message.text})
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    if message.has_images:
        parts.append({"type": "blob", "modality": "image"})
    return {"role": message.role, "parts": parts}
