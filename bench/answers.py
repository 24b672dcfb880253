"""The answers of the static upstream, built once, so that every client can check every answer."""

from __future__ import annotations

import json

TOKENS = 100
SLOW_TOKENS = 130
# Milliseconds between two tokens of the model `slow`, uniformly distributed.
SLOW_PAUSE_MS = (50.0, 100.0)
# No other text of a request or response contains it: its first occurrence is the first token of the answer.
MARKER = b"tok0"

WORDS = [f"tok{number:04d} " for number in range(max(TOKENS, SLOW_TOKENS))]
ANSWER = "".join(WORDS[:TOKENS])
SLOW_ANSWER = "".join(WORDS[:SLOW_TOKENS])


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 60, "completion_tokens": tokens, "total_tokens": 60 + tokens}


def _event(payload: dict[str, object]) -> bytes:
    data = b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def _chunk(model: str, delta: dict[str, str] | None, finish: str | None, usage: bool) -> bytes:
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    )
    payload: dict[str, object] = {
        "id": "chatcmpl-static",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": choices,
    }
    if usage:
        payload["usage"] = _usage(TOKENS) if delta is None else None
    return _event(payload)


def whole(model: str, words: int) -> bytes:
    """Build a complete HTTP response with the answer as one JSON body."""
    body = json.dumps(
        {
            "id": "chatcmpl-static",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "".join(WORDS[:words]), "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": _usage(words),
        },
        separators=(",", ":"),
    ).encode()
    return plain(200, body)


def plain(status: int, body: bytes) -> bytes:
    """Build a complete HTTP response with a JSON body."""
    head = (
        f"HTTP/1.1 {status} Static\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def streamed(model: str, words: int, usage: bool) -> list[bytes]:
    """Build the writes of a streamed answer: role, one per token, then finish reason, usage, [DONE]."""
    opening = STREAM_HEAD + _chunk(model, {"role": "assistant", "content": ""}, None, usage)
    pieces = [_chunk(model, {"content": word}, None, usage) for word in WORDS[:words]]
    closing = _chunk(model, {}, "stop", usage) + (_chunk(model, None, None, True) if usage else b"")
    done = b"data: [DONE]\n\n"
    return [opening, *pieces, closing + b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done)]
