"""An OpenAI-compatible server: chat completions, embeddings, images and models.

async with OpenAIUpstream() as up:
    up.script(Reply(text=("Good", " day")), Refusal(500))   # the next call, then every further one
    ... base_url=up.url ...                                 # includes /v1
    assert up.calls[0].body["model"] == "gpt-test"
    await up.calls[0].disconnected.wait()                   # the client went away
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from tests.support.upstreams.http_server import (
    Raw,
    ReceivedCall,
    Refusal,
    Reply,
    ScriptedToolCall,
    Silence,
    UpstreamServer,
)

__all__ = ["OpenAIUpstream", "Raw", "Refusal", "Reply", "ScriptedToolCall", "Silence"]


SIGNATURE = "Ep0BCpoBAb4+/w=="


def sse(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


class OpenAIUpstream(UpstreamServer):
    """See the module; `url` includes `/v1`.

    `wants_thoughts`: as DeepSeek does in its thinking mode, it refuses calls of the turn under way whose
    message came back without its `reasoning_content`. `signs`: as Gemini's endpoint for OpenAI's API does,
    its calls have an `extra_content` that has to come back.
    """

    prefix = "/v1"
    wants_thoughts = False
    signs = False

    def refusal(self, call: ReceivedCall) -> Refusal | None:
        if not (self.wants_thoughts or self.signs) or not call.path.endswith("/chat/completions"):
            return None
        for message in reversed(call.body["messages"]):
            if message["role"] == "user":
                return None
            calls = message.get("tool_calls") or ()
            if self.wants_thoughts and calls and not message.get("reasoning_content"):
                return Refusal(400, "the `reasoning_content` in the thinking mode must be passed back")
            if self.signs and calls and "extra_content" not in calls[0]:
                return Refusal(400, "missing a thought_signature")
        return None

    def lookup(self, call: ReceivedCall) -> bytes | None:
        if call.method == "GET" and call.path.endswith("/models"):
            return json.dumps({"object": "list", "data": [{"id": "gpt-test", "object": "model"}]}).encode()
        return None

    def wants_stream(self, call: ReceivedCall) -> bool:
        return bool(call.body.get("stream"))

    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        def chunk(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            return sse(_envelope(call, "chat.completion.chunk") | {"choices": [choice]})

        content = [chunk({"reasoning_content": piece}) for piece in reply.reasoning]
        content += [
            chunk({"content": piece}, logprobs=_logprobs([piece]) if reply.logprobs else None)
            for piece in reply.text
        ]
        for index, tool in enumerate(reply.tools):
            function = {"name": tool.name, "arguments": ""}
            first = {
                "index": index,
                "id": tool.id,
                "type": "function",
                "function": function,
                **self._signed(),
            }
            content.append(chunk({"tool_calls": [first]}))
            content += [
                chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                for piece in tool.pieces
            ]
        end = [chunk({}, reply.finish)]
        options = call.body.get("stream_options") or {}
        if reply.usage is not None and options.get("include_usage"):
            usage = {"choices": [], "usage": _usage(reply.usage)}
            end.append(sse(_envelope(call, "chat.completion.chunk") | usage))
        end.append(b"data: [DONE]\n\n")
        return content, end

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        if call.path.endswith("/embeddings"):
            return json.dumps(_embeddings(reply, call)).encode()
        message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.text) or None}
        if reply.reasoning:
            message["reasoning_content"] = "".join(reply.reasoning)
        if reply.tools:
            message["tool_calls"] = [
                {
                    "id": tool.id,
                    "type": "function",
                    "function": {"name": tool.name, "arguments": "".join(tool.pieces)},
                    **self._signed(),
                }
                for tool in reply.tools
            ]
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": reply.finish,
            "logprobs": _logprobs(list(reply.text)) if reply.logprobs else None,
        }
        body = _envelope(call, "chat.completion") | {"choices": [choice]}
        if reply.usage is not None:
            body["usage"] = _usage(reply.usage)
        return json.dumps(body).encode()

    def _signed(self) -> dict[str, Any]:
        return {"extra_content": {"google": {"thought_signature": SIGNATURE}}} if self.signs else {}

    def error_frame(self) -> bytes:
        return sse({"error": {"message": "vendor secret detail", "type": "server_error", "code": None}})

    def error_body(self, status: int, code: str) -> bytes:
        error = {"message": "vendor secret detail", "type": "some_error", "param": None, "code": code or None}
        return json.dumps({"error": error}).encode()


def vector_of(text: str, dimensions: int = 4) -> list[float]:
    """What this server gives for a text, as decimal numbers; float32 does not hold them exactly."""
    return [len(text) + at / 10 for at in range(dimensions)]


def _embeddings(reply: Reply, call: ReceivedCall) -> dict[str, Any]:
    """In base64 where that is asked for, and last text first, for `index` is what counts."""
    data: list[dict[str, Any]] = []
    for index, text in enumerate(call.body["input"]):
        vector: Any = vector_of(text, call.body.get("dimensions", 4))
        if call.body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.insert(0, {"object": "embedding", "index": index, "embedding": vector})
    answer: dict[str, Any] = {"object": "list", "data": data, "model": call.body["model"]}
    if reply.usage is not None:
        answer["usage"] = {"prompt_tokens": reply.usage[0], "total_tokens": reply.usage[0]}
    return answer


def _envelope(call: ReceivedCall, kind: str) -> dict[str, Any]:
    model = call.body.get("model", "")
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": model}


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


def _logprobs(pieces: list[str]) -> dict[str, Any]:
    return {"content": [{"token": p, "logprob": -0.5, "bytes": None, "top_logprobs": []} for p in pieces]}
