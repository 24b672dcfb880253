"""A turn that reaches its cost limit ends with what it has."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.core.exceptions import BudgetExceeded, UpstreamError
from gateway.domain.events import TurnCompleted, TurnFailed
from gateway.domain.money import Usage
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, ScriptedToolCall

CALL = ScriptedToolCall("calculator", ('{"expression":"2+2"}',), "call_1")
# At 1 and 2 dollars a million tokens: 11 prompt and 4 completion tokens cost 19 millionths.
ONE_CALL = "0.000019"


@pytest.mark.parametrize(
    ("limit", "calls", "finish"),
    [
        (None, 2, "stop"),
        ("0.00003", 2, "stop"),  # 19 + 11 of the same prompt again: exactly the limit
        ("0.000029", 1, "length"),
    ],
)
async def test_no_tool_round_starts_beyond_the_cost_limit(limit: str | None, calls: int, finish: str) -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=("Let me see.",), tools=(CALL,), finish="tool_calls"), Reply(text=(" Four.",)))
        config = make_catalog({"m": up.url}, limits={"usd_per_turn": limit})
        async with running_agent(config) as agent:
            last = (await run_turn(agent, make_turn(model="m", gateway_tools=None)))[-1]
    assert isinstance(last, TurnCompleted)
    assert len(up.calls) == calls
    assert last.answer.finish_reason == finish
    assert last.answer.content == ("Let me see. Four." if calls == 2 else "Let me see.")
    assert last.answer.tool_calls == ()
    assert last.answer.cost_usd == calls * Decimal(ONE_CALL)


async def test_a_turn_without_text_fails_at_the_cost_limit() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=(), tools=(CALL,), finish="tool_calls"))
        config = make_catalog({"m": up.url}, limits={"usd_per_turn": "0.00002"})
        async with running_agent(config) as agent:
            last = (await run_turn(agent, make_turn(model="m", gateway_tools=None)))[-1]
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, BudgetExceeded)
    assert not last.error.retryable
    assert len(up.calls) == 1
    assert last.answer is not None
    assert last.answer.usage == Usage(11, 4)


async def test_client_tool_calls_are_returned_at_the_cost_limit() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=(), tools=(CALL,), finish="tool_calls"))
        config = make_catalog({"m": up.url}, limits={"usd_per_turn": "0.00000001"})
        async with running_agent(config) as agent:
            tools = agent.resources.tools.specs()
            last = (await run_turn(agent, make_turn(model="m", client_tools=tools)))[-1]
    assert isinstance(last, TurnCompleted)
    assert [call.name for call in last.answer.tool_calls] == ["calculator"]


async def test_a_failure_without_cost_still_falls_back() -> None:
    async with OpenAIUpstream() as first, OpenAIUpstream() as second:
        first.script(Refusal(500))
        config = make_catalog(
            {"a": first.url, "b": second.url}, fallbacks={"a": ["b"]}, limits={"usd_per_turn": "0.00000001"}
        )
        async with running_agent(config) as agent:
            last = (await run_turn(agent, make_turn(model="a")))[-1]
    assert isinstance(last, TurnCompleted)
    assert last.answer.model == "b"


async def test_the_last_models_failure_is_reported() -> None:
    async with OpenAIUpstream() as up:
        up.script(Refusal(500))
        async with running_agent(make_catalog({"m": up.url}, limits={"usd_per_turn": "0.00000001"})) as agent:
            last = (await run_turn(agent, make_turn(model="m")))[-1]
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, UpstreamError)


async def test_an_impossible_token_count_is_not_charged() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(usage=(10**15, 4)))
        async with running_agent(make_catalog({"m": up.url})) as agent:
            last = (await run_turn(agent, make_turn(model="m")))[-1]
    assert isinstance(last, TurnCompleted)
    assert 0 < last.answer.usage.total_tokens < 100
