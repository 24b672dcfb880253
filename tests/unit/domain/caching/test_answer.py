"""What may be kept of an answer, and that it comes back as it went."""

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
def test_what_the_next_one_should_not_be_told_is_not_kept(change: dict[str, Any]) -> None:
    assert CachedAnswer.from_answer(replace(ANSWER, **change)) is None


def test_a_whole_answer_comes_back_as_it_went_and_costs_nothing() -> None:
    kept = CachedAnswer.from_answer(ANSWER)
    assert kept is not None
    data = kept.to_bytes()
    assert data is not None
    back = CachedAnswer.from_bytes(data)
    assert back == kept
    told = back.to_answer("req_2", (back.model_call(0.0),), "hit", {})
    assert (told.content, told.tool_calls, told.logprobs, told.reasoning) == (
        ANSWER.content,
        ANSWER.tool_calls,
        ANSWER.logprobs,
        ANSWER.reasoning,
    )
    assert (told.usage, told.cost_usd, told.cache, told.request_id) == (Usage(), Decimal(0), "hit", "req_2")
    assert told.receipt.cache["request_id"] == "req_1"
    assert back.events() == [
        RouteChosen("chat", 0.1, "small", "up", "Because."),
        ReasoningDelta("hm"),
        TextDelta("Hi", ANSWER.logprobs),
        ToolCallDelta(0, "1", "f", '{"a":1}'),
    ]


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'{"content":"x"}', b'{"tool_calls":3,"logprobs":[]}'])
def test_what_another_version_wrote_is_nothing(data: bytes) -> None:
    assert CachedAnswer.from_bytes(data) is None


def test_half_a_surrogate_pair_is_not_kept() -> None:
    kept = CachedAnswer.from_answer(replace(ANSWER, content="\ud800"))
    assert kept is not None
    assert kept.to_bytes() is None
