"""An Ollama server: `/api/chat` streamed and whole, `/api/embed`, `/api/version`."""

from __future__ import annotations

import json
from typing import Any

from tests.support.upstreams.http_server import ReceivedCall, Reply, UpstreamServer

# The window that most machines load a model with where a call names none.
_LOADED = 4096


class OllamaUpstream(UpstreamServer):
    """Ollama sends a tool call in one piece, and says `done_reason: stop` after it.

    It never refuses a long prompt: the beginning of what is beyond the loaded window is not `read`.
    """

    stream_type = "application/x-ndjson"

    # What `ollama list` would show.
    pulled: tuple[str, ...] = ("llama3.2:3b",)

    def lookup(self, call: ReceivedCall) -> bytes | None:
        if call.path == "/api/tags":
            return json.dumps({"models": [{"name": name, "size": 1} for name in self.pulled]}).encode()
        return b'{"version": "0.12.0"}' if call.path == "/api/version" else None

    def wants_stream(self, call: ReceivedCall) -> bool:
        return call.path != "/api/embed" and bool(call.body.get("stream", True))

    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        content = [_line(call, {"thinking": piece, "content": ""}) for piece in reply.reasoning]
        content += [_line(call, {"content": piece}) for piece in reply.text]
        if reply.tools:
            content.append(_line(call, {"content": "", "tool_calls": _tools(reply)}))
        return content, [_line(call, {"content": ""}, _end(reply))]

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        if call.path == "/api/embed":
            vectors = [[float(len(text)), 3.0, 4.0] for text in call.body["input"]]
            answer: dict[str, Any] = {"model": call.body["model"], "embeddings": vectors}
            if reply.usage is not None:
                answer["prompt_eval_count"] = reply.usage[0]
            return json.dumps(answer).encode()
        message: dict[str, Any] = {"content": "".join(reply.text)}
        if reply.reasoning:
            message["thinking"] = "".join(reply.reasoning)
        if reply.tools:
            message["tool_calls"] = _tools(reply)
        return _line(call, message, _end(reply))

    def error_frame(self) -> bytes:
        return b'{"error": "vendor secret detail"}\n'

    def error_body(self, status: int, code: str) -> bytes:
        return json.dumps({"error": f"vendor secret detail {code}"}).encode()


def read(call: ReceivedCall) -> str:
    """What of the prompt the model has read, at four characters a token."""
    window = call.body["options"].get("num_ctx", _LOADED)
    prompt = "".join(message["content"] for message in call.body["messages"])
    return prompt[-4 * window :]


def _line(call: ReceivedCall, message: dict[str, Any], end: dict[str, Any] | None = None) -> bytes:
    head = {"model": call.body["model"], "created_at": "2026-01-01T00:00:00Z"}
    body = {**head, "message": {"role": "assistant", **message}, "done": end is not None, **(end or {})}
    return json.dumps(body).encode() + b"\n"


def _end(reply: Reply) -> dict[str, Any]:
    end: dict[str, Any] = {"done_reason": "stop" if reply.finish == "tool_calls" else reply.finish}
    if reply.usage is not None:
        end |= {"prompt_eval_count": reply.usage[0], "eval_count": reply.usage[1], "total_duration": 1}
    return end


def _tools(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"function": {"name": tool.name, "arguments": json.loads("".join(tool.pieces))}}
        for tool in reply.tools
    ]
