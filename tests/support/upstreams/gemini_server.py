"""A Gemini server: content streamed and whole, and its models."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.support.upstreams.http_server import ReceivedCall, Refusal, Reply, UpstreamServer

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


# Models that sign their calls and demand the signatures back; the others do neither.
_SIGNING = ("gemini-3", "gemini-flash-latest", "gemini-pro-latest")
_PLACEHOLDERS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")


class GeminiUpstream(UpstreamServer):
    """Gemini sends a tool call in one piece, and says `STOP` after it.

    A model that signs refuses the calls of the turn under way whose first one is not signed.
    """

    def refusal(self, call: ReceivedCall) -> Refusal | None:
        if not _signs(call) or not _unsigned(call.body["contents"]):
            return None
        sentence = "Function call is missing a thought_signature in functionCall parts."
        error = {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}
        return Refusal(400, body=json.dumps({"error": error}).encode())

    def lookup(self, call: ReceivedCall) -> bytes | None:
        if call.method == "GET" and call.path == "/v1beta/models":
            return b'{"models": []}'
        return None

    def wants_stream(self, call: ReceivedCall) -> bool:
        return call.path.endswith(":streamGenerateContent")

    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        content = [_sse(_chunk([{"text": piece, "thought": True}])) for piece in reply.reasoning]
        content += [_sse(_chunk([{"text": piece}])) for piece in reply.text]
        content += [_sse(_chunk([part])) for part in _tools(reply, call)]
        return content, [_sse(_chunk([{"text": ""}], reply))]

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        parts: list[dict[str, Any]] = [{"text": "".join(reply.reasoning), "thought": True}]
        parts = parts if reply.reasoning else []
        if reply.text:
            parts.append({"text": "".join(reply.text)})
        return json.dumps(_chunk([*parts, *_tools(reply, call)], reply)).encode()

    def error_frame(self) -> bytes:
        return _sse({"error": {"code": 503, "message": "vendor secret detail", "status": "UNAVAILABLE"}})

    def error_body(self, status: int, code: str) -> bytes:
        error = {"code": status, "message": f"vendor secret detail {code}", "status": "FAILED"}
        return json.dumps({"error": error}).encode()


def _sse(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


def _chunk(parts: list[dict[str, Any]], end: Reply | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-test", "responseId": "resp-1"}
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


def _tools(reply: Reply, call: ReceivedCall) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"functionCall": {"name": tool.name, "args": json.loads("".join(tool.pieces))}}
        for tool in reply.tools
    ]
    if parts and _signs(call):
        parts[0]["thoughtSignature"] = signature(parts[0]["functionCall"])
    return parts


def signature(function_call: dict[str, Any]) -> str:
    """What the vendor signs a call with."""
    text = json.dumps([function_call["name"], function_call.get("args")], sort_keys=True)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _signs(call: ReceivedCall) -> bool:
    return any(f"/models/{name}" in call.path for name in _SIGNING)


def _unsigned(contents: list[dict[str, Any]]) -> bool:
    """Whether a step of the turn under way has a first call without a good signature."""
    for content in reversed(contents):
        parts = content["parts"]
        if content["role"] == "user" and not any("functionResponse" in part for part in parts):
            return False
        calls = [part for part in parts if "functionCall" in part]
        good = (signature(calls[0]["functionCall"]), *_PLACEHOLDERS) if calls else ()
        if calls and calls[0].get("thoughtSignature") not in good:
            return True
    return False
