"""The bytes that each dialect makes of one and the same stream of events."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.core.exceptions import ContentBlocked, UpstreamBroken
from gateway.dialects.base import StreamEncoder
from gateway.dialects.native.stream import NativeEncoder
from gateway.dialects.openai.chat.stream import ChatCompletionEncoder, completion_body
from gateway.domain.events import (
    Answer,
    ChatEvent,
    ModelCall,
    ReasoningDelta,
    Receipt,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
    TurnFailed,
    TurnStarted,
)
from gateway.domain.messages import ToolCall
from gateway.domain.money import Usage

WHEN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

USED = Usage(3, 2, cached_tokens=2, reasoning_tokens=1)
NATIVE_USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "cached_tokens": 2,
    "cache_write_tokens": 0,
    "reasoning_tokens": 1,
}


def an_answer(**fields: Any) -> Answer:
    attempt = ModelCall("small", "up", "ok", 12.5, USED, Decimal("0.000007"))
    values: dict[str, Any] = {
        "request_id": "req_1",
        "content": "Hi é",
        "status": "complete",
        "model": "small",
        "provider": "up",
        "finish_reason": "stop",
        "created_at": WHEN,
        "usage": USED,
        "cost_usd": Decimal("0.000007"),
        "receipt": Receipt("chat", 0.1, "auto", "small", "Because.", (attempt,), nodes_ms={"llm": 12.5}),
        "conversation_id": "c1",
        "message_id": "m2",
    }
    return Answer(**{**values, **fields})


EVENTS: list[ChatEvent] = [
    TurnStarted("req_1", "c1", "m1", "m2"),
    RouteChosen("chat", 0.1, "small", "up", "Because."),
    ReasoningDelta("hm"),
    ToolStarted(ToolCall("t1", "calculator", '{"expression":"1+1"}')),
    ToolFinished("t1", "calculator", True, "2", 0.5),
    TextDelta("Hi "),
    TextDelta("é"),
    TurnCompleted(an_answer()),
]


def encode(encoder: StreamEncoder, events: list[ChatEvent]) -> str:
    return b"".join(data for event in events if (data := encoder.encode(event)) is not None).decode()


def test_the_native_stream_to_the_letter() -> None:
    lines = encode(NativeEncoder(), EVENTS).split("\n\n")
    assert lines[:7] == [
        'id: 1\nevent: turn\ndata: {"request_id":"req_1","conversation_id":"c1","user_message_id":"m1",'
        '"message_id":"m2"}',
        'id: 2\nevent: route\ndata: {"intent":"chat","complexity":0.1,"model":"small","provider":"up",'
        '"reason":"Because."}',
        'id: 3\nevent: reasoning\ndata: {"text":"hm"}',
        'id: 4\nevent: tool_call\ndata: {"id":"t1","name":"calculator",'
        '"arguments":"{\\"expression\\":\\"1+1\\"}"}',
        'id: 5\nevent: tool_result\ndata: {"id":"t1","name":"calculator","ok":true,"content":"2","ms":0.5}',
        'id: 6\nevent: delta\ndata: {"text":"Hi "}',
        'id: 7\nevent: delta\ndata: {"text":"é"}',
    ]
    head, data = lines[7].split("data: ", 1)
    assert head == "id: 8\nevent: done\n"
    assert json.loads(data) == {
        "conversation_id": "c1",
        "request_id": "req_1",
        "cache": "bypass",
        "message": {
            "id": "m2",
            "role": "assistant",
            "content": "Hi é",
            "status": "complete",
            "model": "small",
            "provider": "up",
            "finish_reason": "stop",
            "created_at": "2026-11-20T12:00:00+00:00",
            "usage": NATIVE_USAGE,
            "cost_usd": "0.000007",
        },
        "receipt": {
            "intent": "chat",
            "intent_score": 0.0,
            "intent_by": "",
            "complexity": 0.1,
            "alias": "auto",
            "model": "small",
            "reason": "Because.",
            "attempts": [
                {
                    "step": "answer",
                    "model": "small",
                    "provider": "up",
                    "outcome": "ok",
                    "ms": 12.5,
                    "first_ms": None,
                    "usage": NATIVE_USAGE,
                    "cost_usd": "0.000007",
                }
            ],
            "tools": [],
            "guardrails": [],
            "nodes_ms": {"llm": 12.5},
            "overhead_ms": 0.0,
            "breakers": {},
            "cache": {"result": "bypass"},
        },
    }
    assert lines[8:] == [""]


def test_openais_stream_to_the_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dialects.openai.chat.stream.time.time", lambda: 1_700_000_000.9)
    head = '"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1700000000,"model":"small"'

    def chunk(delta: str, finish: str = "null") -> str:
        choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
        return f'data: {{{head},"choices":[{choice}],"usage":null}}\n\n'

    assert encode(ChatCompletionEncoder("req_1", include_usage=True), EVENTS) == (
        chunk('{"role":"assistant","content":"","refusal":null}')
        + chunk('{"reasoning_content":"hm"}')
        + chunk('{"content":"Hi "}')
        + chunk('{"content":"é"}')
        + chunk("{}", '"stop"')
        + f'data: {{{head},"choices":[],'
        + '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,'
        + '"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":0},'
        + '"completion_tokens_details":{"reasoning_tokens":1}}}\n\n'
        + "data: [DONE]\n\n"
    )


def test_openais_tool_call_pieces() -> None:
    events: list[ChatEvent] = [
        ToolCallDelta(0, "call_a", "lookup", ""),
        ToolCallDelta(0, arguments='{"q":'),
        ToolCallDelta(0, arguments="1}"),
    ]
    text = encode(ChatCompletionEncoder("req_1", include_usage=False), events)
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in text.split("\n\n") if line]
    assert deltas[1:] == [
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "call_a",
                    "type": "function",
                    "function": {"arguments": "", "name": "lookup"},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"q":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    ]


@pytest.mark.parametrize("encoder", [NativeEncoder(), ChatCompletionEncoder("req_1", include_usage=True)])
def test_a_failure_ends_the_stream_with_the_error_body_and_no_end_marker(encoder: StreamEncoder) -> None:
    events: list[ChatEvent] = [
        RouteChosen("chat", 0.1, "small", "up", "Because."),
        TextDelta("Hi"),
        TurnFailed(UpstreamBroken(), "req_1"),
    ]
    text = encode(encoder, events)
    last = [block for block in text.split("\n\n") if block][-1]
    assert json.loads(last.split("data: ", 1)[1])["error"]["code"] == "upstream_failed"
    assert "[DONE]" not in text
    assert "event: done" not in text


def test_a_blocked_turn_is_a_refusal_natively_and_an_error_in_openais_dialect() -> None:
    blocked = an_answer(
        content="I can't answer this: no.", finish_reason="content_filter", blocked_reason="no."
    )
    events: list[ChatEvent] = [
        RouteChosen("chat", 0.1, "small", "up", "Because."),
        TextReplaced(blocked.content, "no."),
        TurnCompleted(blocked),
    ]
    native = encode(NativeEncoder(), events)
    assert 'event: replace\ndata: {"text":"I can\'t answer this: no.","reason":"no."}' in native
    with pytest.raises(ContentBlocked):
        encode(ChatCompletionEncoder("req_1", include_usage=False), events)
    with pytest.raises(ContentBlocked):
        completion_body(blocked)


def test_openais_answer_with_tool_calls_has_no_content() -> None:
    answer = an_answer(
        content="", finish_reason="tool_calls", tool_calls=(ToolCall("call_a", "lookup", '{"q":1}'),)
    )
    choice = completion_body(answer)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "lookup", "arguments": '{"q":1}'}}
        ],
    }
