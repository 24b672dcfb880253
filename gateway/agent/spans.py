"""Spans of calls of models and tools, by OpenTelemetry's conventions for generative AI (v0.1 of their own).

https://github.com/open-telemetry/semantic-conventions-genai; names under `gateway.` are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import orjson

from gateway.agent.reply import Reply
from gateway.core.tracing import Attributes, Span, content_captured, span
from gateway.domain.chat import ChatRequest
from gateway.domain.events import Attempt, VendorResponse
from gateway.domain.messages import Message, ToolCall
from gateway.providers.chat.base import ChatProvider
from gateway.tools.outcome import ToolOutcome

# Names that the conventions know; other types of providers have their own.
_PROVIDERS: Final = {"gemini": "gcp.gemini", "local": "llama.cpp"}
_LONGEST = 64 * 1024


def model_span(provider: ChatProvider, model: str, request: ChatRequest) -> Span:
    """To be entered around one call of one model; `model` is the gateway's name of it."""
    it = span(f"chat {request.model}", "client")
    if it.recording:
        it.set({**_asked(provider, request), "gateway.model": model, "gateway.upstream": provider.name})
        if content_captured():
            it.set({"gen_ai.input.messages": _messages(request.messages)})
    return it


def end_model_span(it: Span, attempt: Attempt, reply: Reply) -> None:
    """What became of the call; within its block."""
    if not it.recording:
        return
    response = reply.response or VendorResponse()
    it.set(
        {
            "gen_ai.response.id": response.id,
            "gen_ai.response.model": response.model,
            "gen_ai.response.finish_reasons": [reply.finish_reason] if reply.finish_reason else None,
            "gen_ai.response.time_to_first_chunk": None
            if attempt.first_ms is None
            else attempt.first_ms / 1000,
            "gen_ai.usage.input_tokens": attempt.usage.prompt_tokens,
            "gen_ai.usage.output_tokens": attempt.usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": attempt.usage.cached_tokens or None,
            "gen_ai.usage.cache_creation.input_tokens": attempt.usage.cache_write_tokens or None,
            "gateway.cost_usd": float(attempt.cost_usd),
        }
    )
    if attempt.outcome not in ("ok", "cancelled"):
        it.fail(attempt.outcome)
    if content_captured():
        said = Message("assistant", reply.text, tool_calls=reply.tool_calls())
        it.set({"gen_ai.output.messages": _messages((said,))})


def tool_span(call: ToolCall, known: Iterable[str]) -> Span:
    """Around one run of a tool; a model may have made its name up."""
    name = call.name if call.name in known else "unknown"
    it = span(f"execute_tool {name}")
    if it.recording:
        it.set(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": call.id,
                "gen_ai.tool.call.arguments": call.arguments[:_LONGEST] if content_captured() else None,
                "langsmith.span.kind": "tool",
            }
        )
    return it


def end_tool_span(it: Span, outcome: ToolOutcome) -> None:
    if not it.recording:
        return
    if not outcome.ok:
        it.fail(outcome.error or "failed")
    if content_captured():
        it.set({"gen_ai.tool.call.result": outcome.content[:_LONGEST]})


def _asked(provider: ChatProvider, request: ChatRequest) -> Attributes:
    sampling = request.sampling
    address = urlsplit(provider.config.base_url or "")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider.type, provider.type),
        "gen_ai.request.model": request.model,
        "gen_ai.request.stream": request.incremental or None,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.seed": sampling.seed,
        "gen_ai.output.type": "json" if request.response_format is not None else None,
        "server.address": address.hostname,
        "server.port": _port(address.port, address.scheme),
        "langsmith.span.kind": "llm",
    }


def _port(given: int | None, scheme: str) -> int | None:
    return given or {"https": 443, "http": 80}.get(scheme)


def _messages(messages: Iterable[Message]) -> str:
    """As the conventions have them: role and parts, JSON; pictures are only said to be there."""
    return orjson.dumps([_message(one) for one in messages], default=str).decode()[:_LONGEST]


def _message(message: Message) -> dict[str, object]:
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
