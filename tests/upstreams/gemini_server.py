"""A Gemini server: `:streamGenerateContent` as SSE, `:generateContent` as one body, and its models."""

from __future__ import annotations

import json
from typing import Any

from tests.upstreams.http_server import Call, Reply, UpstreamServer

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


class GeminiUpstream(UpstreamServer):
    """Gemini sends a tool call in one piece, and says `STOP` after it."""

    def lookup(self, call: Call) -> bytes | None:
        if call.method == "GET" and call.path == "/v1beta/models":
            return b'{"models": []}'
        return None

    def wants_stream(self, call: Call) -> bool:
        return call.path.endswith(":streamGenerateContent")

    def frames(self, reply: Reply, call: Call) -> tuple[list[bytes], list[bytes]]:
        content = [_sse(_chunk([{"text": piece, "thought": True}])) for piece in reply.reasoning]
        content += [_sse(_chunk([{"text": piece}])) for piece in reply.text]
        content += [_sse(_chunk([part])) for part in _tools(reply)]
        return content, [_sse(_chunk([{"text": ""}], reply))]

    def whole(self, reply: Reply, call: Call) -> bytes:
        parts: list[dict[str, Any]] = [{"text": "".join(reply.reasoning), "thought": True}]
        parts = parts if reply.reasoning else []
        if reply.text:
            parts.append({"text": "".join(reply.text)})
        return json.dumps(_chunk([*parts, *_tools(reply)], reply)).encode()

    def error_frame(self) -> bytes:
        return _sse({"error": {"code": 503, "message": "vendor secret detail", "status": "UNAVAILABLE"}})

    def error_body(self, status: int, code: str) -> bytes:
        error = {"code": status, "message": f"vendor secret detail {code}", "status": "FAILED"}
        return json.dumps({"error": error}).encode()


def _sse(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


def _chunk(parts: list[dict[str, Any]], end: Reply | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-test"}
    if end is not None:
        candidate["finishReason"] = _FINISH[end.finish]
        if end.usage is not None:
            prompt, answer = end.usage
            body["usageMetadata"] = {
                "promptTokenCount": prompt,
                "candidatesTokenCount": answer,
                "totalTokenCount": prompt + answer,
            }
    return body


def _tools(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"functionCall": {"name": tool.name, "args": json.loads("".join(tool.pieces))}}
        for tool in reply.tools
    ]
