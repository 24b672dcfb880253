"""Which answers are cacheable, and that they survive storage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain.caching.answer import CachedAnswer
from gateway.domain.events import Answer, ReasoningDelta, Receipt, RouteChosen, TextDelta, ToolCallDelta
from gateway.domain.messages import ToolCall
from gateway.domain.money import Usage

RECEIPT = Receipt("chat", 0.1, "auto", "small", "Because.")
ANSWER = Answer(
    request_id="req_1",
    content="Hi",
    status="complete",
    model="small",
    provider="up",
    finish_reason="stop",
    created_at=datetime(2026, 11, 20, tzinfo=UTC),
    usage=Usage(3, 2),
    cost_usd=Decimal("0.1"),
    receipt=RECEIPT,
    reasoning="hm",
    tool_calls=(ToolCall("1", "f", '{"a":1}'),),
    logprobs=({"token": "Hi", "logprob": -0.5},),
)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"status": "cancelled"},
        {"finish_reason": "content_filter"},
        {"finish_reason": None},
        {"blocked_reason": "no"},
        {"fallback_from": "other"},
        {"content": "", "tool_calls": ()},
        {"receipt": replace(RECEIPT, tools=({"name": "calculator"},))},
        {"receipt": replace(RECEIPT, guardrails=({"guard": "injection", "flagged": True},))},
    ],
)
def test_only_complete_safe_answers_of_the_requested_model_are_cached(change: dict[str, Any]) -> None:
    assert CachedAnswer.from_answer(replace(ANSWER, **change)) is None


def test_a_cached_answer_survives_storage_and_costs_nothing() -> None:
    cached = CachedAnswer.from_answer(ANSWER)
    assert cached is not None
    data = cached.to_bytes()
    assert data is not None
    restored = CachedAnswer.from_bytes(data)
    assert restored == cached
    answer = restored.to_answer("req_2", (restored.model_call(0.0),), "hit", {})
    assert (answer.content, answer.tool_calls, answer.logprobs, answer.reasoning) == (
        ANSWER.content,
        ANSWER.tool_calls,
        ANSWER.logprobs,
        ANSWER.reasoning,
    )
    assert (answer.usage, answer.cost_usd, answer.cache, answer.request_id) == (
        Usage(),
        Decimal(0),
        "hit",
        "req_2",
    )
    assert answer.receipt.cache["request_id"] == "req_1"
    assert restored.events() == [
        RouteChosen("chat", 0.1, "small", "up", "Because."),
        ReasoningDelta("hm"),
        TextDelta("Hi", ANSWER.logprobs),
        ToolCallDelta(0, "1", "f", '{"a":1}'),
    ]


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'{"content":"x"}', b'{"tool_calls":3,"logprobs":[]}'])
def test_an_answer_in_another_format_is_ignored(data: bytes) -> None:
    assert CachedAnswer.from_bytes(data) is None


def test_an_answer_with_a_lone_surrogate_is_not_cached() -> None:
    cached = CachedAnswer.from_answer(replace(ANSWER, content="\ud800"))
    assert cached is not None
    assert cached.to_bytes() is None
