"""An Anthropic server: `/v1/messages` streamed and whole, and `/v1/models`."""

from __future__ import annotations

import json
from typing import Any

from tests.support.upstreams.anthropic_rules import signature, validation_error
from tests.support.upstreams.http_server import ReceivedCall, Refusal, Reply, UpstreamServer

_STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def _event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


class AnthropicUpstream(UpstreamServer):
    """Content is a run of blocks, each started, filled by deltas and stopped.

    It refuses what the vendor refuses (`anthropic_rules`), among it thoughts that do not come back as they
    were. `redacted` is put before the thoughts of each answer that has some.
    """

    redacted: str | None = None

    def refusal(self, call: ReceivedCall) -> Refusal | None:
        sentence = validation_error(call.body)
        if sentence is None:
            return None
        error = {"type": "invalid_request_error", "message": sentence}
        return Refusal(400, body=json.dumps({"type": "error", "error": error}).encode())

    def lookup(self, call: ReceivedCall) -> bytes | None:
        if call.method == "GET" and call.path == "/v1/models":
            return b'{"data": [], "has_more": false}'
        return None

    def wants_stream(self, call: ReceivedCall) -> bool:
        return bool(call.body.get("stream"))

    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        usage = reply.usage or (0, 0)
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        if reply.reasoning and self.redacted is not None:
            blocks.append(({"type": "redacted_thinking", "data": self.redacted}, []))
        if reply.reasoning:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in reply.reasoning]
            deltas.append({"type": "signature_delta", "signature": signature("".join(reply.reasoning))})
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
        if reply.text:
            deltas = [{"type": "text_delta", "text": piece} for piece in reply.text]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for tool in reply.tools:
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in tool.pieces]
            blocks.append(({"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}, deltas))
        content: list[bytes] = []
        start = _event("message_start", message=_message(call, [], None, (usage[0], 1)))
        for index, (block, deltas) in enumerate(blocks):
            begin = _event("content_block_start", index=index, content_block=block)
            pieces = [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            pieces = pieces or [b""]
            pieces[0] = begin + pieces[0]
            pieces[-1] += _event("content_block_stop", index=index)
            content += pieces
        content[0] = start + _event("ping") + content[0]
        delta = {"stop_reason": _STOP[reply.finish], "stop_sequence": None}
        counts = {"input_tokens": usage[0], "output_tokens": usage[1]}
        return content, [_event("message_delta", delta=delta, usage=counts), _event("message_stop")]

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        content: list[dict[str, Any]] = []
        if reply.reasoning and self.redacted is not None:
            content.append({"type": "redacted_thinking", "data": self.redacted})
        if reply.reasoning:
            thought = "".join(reply.reasoning)
            content.append({"type": "thinking", "thinking": thought, "signature": signature(thought)})
        if reply.text:
            content.append({"type": "text", "text": "".join(reply.text)})
        content += [
            {"type": "tool_use", "id": tool.id, "name": tool.name, "input": json.loads("".join(tool.pieces))}
            for tool in reply.tools
        ]
        return json.dumps(_message(call, content, _STOP[reply.finish], reply.usage or (0, 0))).encode()

    def error_frame(self) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": "vendor secret detail"})

    def error_body(self, status: int, code: str) -> bytes:
        error = {"type": "some_error", "message": f"vendor secret detail {code}"}
        return json.dumps({"type": "error", "error": error}).encode()


def _message(
    call: ReceivedCall, content: list[dict[str, Any]], stop: str | None, usage: tuple[int, int]
) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": call.body["model"],
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": usage[0], "output_tokens": usage[1]},
    }
