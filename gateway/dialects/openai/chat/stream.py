"""Chat completions as one JSON body or as chunks.

`[DONE]` ends only successful streams.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.core.exceptions import ContentBlocked
from gateway.dialects.errors import render_error
from gateway.dialects.openai.client_tools import custom_input
from gateway.dialects.sse import frame
from gateway.domain.events import (
    Answer,
    ChatEvent,
    MessageFields,
    ReasoningDelta,
    RouteChosen,
    TextDelta,
    ToolCallDelta,
    TurnCompleted,
    TurnFailed,
)
from gateway.domain.messages import CLIENT_FIELDS, ToolCall, tool_call_json
from gateway.domain.money import Usage

_DONE = b"data: [DONE]\n\n"
_REASONING_FIELDS = frozenset({"reasoning", "reasoning_content"})


def completion_body(*answers: Answer, custom: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a `chat.completion` with one choice per answer and their total usage.

    Args:
        custom: names of the client's custom tools.

    Raises:
        ContentBlocked: a guardrail withheld an answer.
    """
    first = answers[0]
    return {
        "id": completion_id(first.request_id),
        "object": "chat.completion",
        "created": int(first.created_at.timestamp()),
        "model": first.model,
        "choices": [_choice_body(index, answer, custom) for index, answer in enumerate(answers)],
        "usage": usage_body(sum((answer.usage for answer in answers), Usage())),
    }


def _choice_body(index: int, answer: Answer, custom: frozenset[str]) -> dict[str, Any]:
    _raise_if_blocked(answer)
    content = answer.content if answer.content or not answer.tool_calls else None
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.refused else content,
        "refusal": content if answer.refused else None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call_body(call, custom) for call in answer.tool_calls]
    if answer.vendor is not None:
        message = {**_visible_fields(answer.vendor.fields), **message}
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(answer.logprobs, answer.refused) if answer.logprobs else None,
        "finish_reason": answer.finish_reason or "stop",
    }


def _tool_call_body(call: ToolCall, custom: frozenset[str]) -> dict[str, Any]:
    if call.name in custom:
        custom_body = {"name": call.name, "input": custom_input(call.arguments)}
        return {**call.extra, "id": call.id, "type": "custom", "custom": custom_body}
    function = {"name": call.name, "arguments": call.arguments}
    return {**tool_call_json(call.extra, function), "id": call.id, "type": "function"}


def _visible_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provider's extra fields; reasoning has one name in this API."""
    return {name: value for name, value in fields.items() if name not in _REASONING_FIELDS}


def completion_id(request_id: str) -> str:
    """Return the id that all chunks of an answer share; it contains the request id."""
    return f"chatcmpl-{request_id}"


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _raise_if_blocked(answer: Answer) -> None:
    if answer.blocked_reason is not None:
        raise ContentBlocked(f"A guardrail blocked this request: {answer.blocked_reason}", param="messages")


class ChatCompletionEncoder:
    """Encodes `chat.completion.chunk`s.

    Constant parts are serialized once per stream.

    Args:
        tools: whether tool calls are run by the client; calls of gateway tools are not shown.
        custom: names of the client's custom tools.
        ends_stream: False if other choices share the stream, so that `ChoicesEncoder` ends it.
    """

    def __init__(
        self,
        request_id: str,
        *,
        include_usage: bool,
        tools: bool = True,
        custom: frozenset[str] = frozenset(),
        index: int = 0,
        ends_stream: bool = True,
    ) -> None:
        self._include_usage = include_usage
        self._tools = tools
        self._custom = custom
        # Arguments of custom calls by index: JSON around the input, parsed at the end.
        self._custom_inputs: dict[int, list[str]] = {}
        self._index = index
        self._ends_stream = ends_stream
        self._head: dict[str, Any] = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": "",
        }
        self._chunk_prefix = b""
        self._chunk_suffix = b""
        self._started = False

    def encode(self, event: ChatEvent) -> bytes | None:
        """See `StreamEncoder`."""
        match event:
            case TextDelta(text=text, logprobs=logprobs, refusal=refusal):
                delta = (b'{"refusal":' if refusal else b'{"content":') + orjson.dumps(text) + b"}"
                if not logprobs:
                    return self._encode_delta(delta)
                return self._encode_delta(delta, orjson.dumps(_logprobs(logprobs, refusal)))
            case ReasoningDelta(text=text):
                return self._encode_delta(b'{"reasoning_content":' + orjson.dumps(text) + b"}")
            case ToolCallDelta():
                if not self._tools:
                    return None
                return self._encode_call(event)
            case MessageFields(fields=fields):
                # A client without tools sends nothing back; it still receives the fields meant for clients.
                visible = {n: v for n, v in fields.items() if self._tools or n in CLIENT_FIELDS}
                return self._encode_delta(orjson.dumps(visible)) if visible else None
            case RouteChosen(model=model):
                self._head["model"] = model
                return None
            case TurnCompleted(answer=answer):
                return self._finish_choice(answer)
            case TurnFailed(error=error, request_id=request_id):
                return frame(orjson.dumps(render_error(error, request_id)[2]))
            case _:
                return None

    def _encode_call(self, event: ToolCallDelta) -> bytes | None:
        if event.name in self._custom:
            self._custom_inputs[event.index] = [event.arguments]
            header = {"index": event.index, "id": event.id, "type": "custom"}
            return self._encode_calls({**event.extra, **header, "custom": {"name": event.name, "input": ""}})
        if event.index in self._custom_inputs:
            self._custom_inputs[event.index].append(event.arguments)
            return None
        return self._encode_calls(_tool_call_delta(event))

    def _encode_calls(self, delta: dict[str, Any]) -> bytes:
        return self._encode_delta(orjson.dumps({"tool_calls": [delta]}))

    def _encode_delta(self, delta: bytes, logprobs: bytes = b"null") -> bytes:
        start = b""
        if not self._started:
            start = self._start()
        return start + self._chunk_prefix + delta + b',"logprobs":' + logprobs + self._chunk_suffix

    def _start(self) -> bytes:
        self._started = True
        head = orjson.dumps(self._head)
        self._chunk_prefix = b"data: " + head[:-1] + b',"choices":[{"index":%d,"delta":' % self._index
        usage = b',"usage":null' if self._include_usage else b""
        self._chunk_suffix = b',"finish_reason":null}]' + usage + b"}\n\n"
        role = b'{"role":"assistant","content":"","refusal":null}'
        return self._chunk_prefix + role + b',"logprobs":null' + self._chunk_suffix

    def _finish_choice(self, answer: Answer) -> bytes:
        output = b""
        if not self._started:
            _raise_if_blocked(answer)
            self._head["model"] = answer.model
            output = self._start()
            if answer.finish_reason == "content_filter" and answer.content:
                # Withheld before any text was sent: the reason can be sent instead.
                output += self._encode_delta(b'{"content":' + orjson.dumps(answer.content) + b"}")
        for index, fragments in self._custom_inputs.items():
            output += self._encode_calls(
                {"index": index, "custom": {"input": custom_input("".join(fragments))}}
            )
        last: dict[str, Any] = {
            **self._head,
            "choices": [
                {
                    "index": self._index,
                    "delta": {},
                    "logprobs": None,
                    "finish_reason": answer.finish_reason or "stop",
                }
            ],
        }
        if self._include_usage:
            last["usage"] = None
        end = frame(orjson.dumps(last))
        return output + end + (self.finish_stream(answer.usage) if self._ends_stream else b"")

    def finish_stream(self, usage: Usage) -> bytes:
        """Return what ends a successful stream: the usage, if requested, and `[DONE]`."""
        if not self._include_usage:
            return _DONE
        return frame(orjson.dumps({**self._head, "choices": [], "usage": usage_body(usage)})) + _DONE


def _logprobs(entries: tuple[dict[str, Any], ...], refusal: bool) -> dict[str, Any]:
    content, refused = (None, list(entries)) if refusal else (list(entries), None)
    return {"content": content, "refusal": refused}


def _tool_call_delta(event: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.name is not None:
        function["name"] = event.name
    delta = {**tool_call_json(event.extra, function), "index": event.index}
    if event.id is not None:
        delta["id"] = event.id
        delta["type"] = "function"
    return delta
