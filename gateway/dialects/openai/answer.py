"""Answers in OpenAI's shapes: one JSON body, or chunks with `[DONE]` behind a good stream only."""

from __future__ import annotations

import time
from typing import Any

import orjson

from gateway.core.exceptions import ContentBlocked
from gateway.dialects.errors import render_error
from gateway.dialects.sse import frame
from gateway.domain.events import (
    Answer,
    ChatEvent,
    ReasoningDelta,
    RouteChosen,
    TextDelta,
    ToolCallDelta,
    TurnCompleted,
    TurnFailed,
)
from gateway.domain.usage import Usage

_DONE = b"data: [DONE]\n\n"


def completion_body(answer: Answer) -> dict[str, Any]:
    """A `chat.completion`.

    Raises:
        ContentBlocked: a guardrail withheld the answer.
    """
    _refuse_blocked(answer)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.content if answer.content or not answer.tool_calls else None,
        "refusal": None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in answer.tool_calls
        ]
    return {
        "id": completion_id(answer.request_id),
        "object": "chat.completion",
        "created": int(answer.created_at.timestamp()),
        "model": answer.model,
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": {"content": list(answer.logprobs), "refusal": None} if answer.logprobs else None,
                "finish_reason": answer.finish_reason or "stop",
            }
        ],
        "usage": usage_body(answer.usage),
    }


def completion_id(request_id: str) -> str:
    """The id that all chunks of an answer share; it leads back to the log lines."""
    return f"chatcmpl-{request_id}"


def usage_body(usage: Usage) -> dict[str, int]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _refuse_blocked(answer: Answer) -> None:
    if answer.blocked_reason is not None:
        raise ContentBlocked(f"A guardrail blocked this request: {answer.blocked_reason}", param="messages")


class OpenAIEncoder:
    """Encodes `chat.completion.chunk`s; the parts that never change are serialised once a stream."""

    def __init__(self, request_id: str, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: dict[str, Any] = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": "",
            "system_fingerprint": None,
        }
        self._before = b""
        self._after = b""
        self._begun = False

    def encode(self, event: ChatEvent) -> bytes | None:
        """See `StreamEncoder`."""
        match event:
            case TextDelta(text=text, logprobs=logprobs):
                if not logprobs:
                    return self._delta(b'{"content":' + orjson.dumps(text) + b"}")
                return self._delta(b'{"content":' + orjson.dumps(text) + b"}", _logprobs(logprobs))
            case ReasoningDelta(text=text):
                return self._delta(b'{"reasoning_content":' + orjson.dumps(text) + b"}")
            case ToolCallDelta():
                return self._delta(orjson.dumps({"tool_calls": [_tool_call_delta(event)]}))
            case RouteChosen(model=model):
                self._head["model"] = model
                return None
            case TurnCompleted(answer=answer):
                return self._end(answer)
            case TurnFailed(error=error, request_id=request_id):
                return frame(orjson.dumps(render_error(error, request_id)[2]))
            case _:
                return None

    def _delta(self, delta: bytes, logprobs: bytes = b"null") -> bytes:
        lead = b""
        if not self._begun:
            lead = self._begin()
        return lead + self._before + delta + b',"logprobs":' + logprobs + self._after

    def _begin(self) -> bytes:
        self._begun = True
        head = orjson.dumps(self._head)
        self._before = b"data: " + head[:-1] + b',"choices":[{"index":0,"delta":'
        usage = b',"usage":null' if self._include_usage else b""
        self._after = b',"finish_reason":null}]' + usage + b"}\n\n"
        role = b'{"role":"assistant","content":"","refusal":null}'
        return self._before + role + b',"logprobs":null' + self._after

    def _end(self, answer: Answer) -> bytes:
        lead = b""
        if not self._begun:
            _refuse_blocked(answer)
            self._head["model"] = answer.model
            lead = self._begin()
            if answer.finish_reason == "content_filter" and answer.content:
                # Withheld before a word of it had left: there is room for the reason.
                lead += self._delta(b'{"content":' + orjson.dumps(answer.content) + b"}")
        last: dict[str, Any] = {
            **self._head,
            "choices": [
                {
                    "index": 0,
                    "delta": {},
                    "logprobs": None,
                    "finish_reason": answer.finish_reason or "stop",
                }
            ],
        }
        chunks = [lead]
        if self._include_usage:
            chunks.append(frame(orjson.dumps({**last, "usage": None})))
            chunks.append(
                frame(orjson.dumps({**self._head, "choices": [], "usage": usage_body(answer.usage)}))
            )
        else:
            chunks.append(frame(orjson.dumps(last)))
        chunks.append(_DONE)
        return b"".join(chunks)


def _logprobs(entries: tuple[dict[str, Any], ...]) -> bytes:
    return orjson.dumps({"content": list(entries), "refusal": None})


def _tool_call_delta(event: ToolCallDelta) -> dict[str, Any]:
    delta: dict[str, Any] = {"index": event.index}
    if event.id is not None:
        delta["id"] = event.id
        delta["type"] = "function"
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.name is not None:
        function["name"] = event.name
    delta["function"] = function
    return delta
