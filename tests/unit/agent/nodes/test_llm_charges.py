"""What a call without an answer costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.agent.turn_run import TurnRun
from gateway.domain.events import ModelCall
from gateway.domain.messages import Message
from gateway.domain.money import Usage, estimate_tokens
from gateway.guardrails.base import Verdict
from tests.support.agent import (
    BLOCK_INJECTION,
    ScriptedGuard,
    make_catalog,
    make_turn,
    run_turn,
    running_agent,
)
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, Silence

QUESTION = "word " * 1000
PROMPT = estimate_tokens(QUESTION) + 4


class SlowGuard(ScriptedGuard):
    """Judges only once the model has been asked."""

    def __init__(self, up: OpenAIUpstream) -> None:
        super().__init__(flagged=True)
        self._up = up

    async def check(self, text: str) -> Verdict:
        await self._up.wait_for_calls(1)
        return await super().check(text)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_question_blocked_during_the_call_is_charged_for_its_prompt(stream: bool) -> None:
    attempts: list[ModelCall] = []
    async with (
        OpenAIUpstream() as up,
        running_agent(make_catalog({"one": up.url}), guard=SlowGuard(up)) as agent,
    ):
        up.script(Silence())
        asked = make_turn(QUESTION, model="one", stream=stream)
        await run_turn(agent, asked, guard=BLOCK_INJECTION, attempts=attempts)
        assert len(up.calls) == 1
    assert [(a.outcome, a.usage) for a in attempts] == [("content_blocked", Usage(PROMPT, 0))]
    assert attempts[0].cost_usd > 0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_turn_cancelled_before_output_is_charged_for_its_prompt(stream: bool) -> None:
    attempts: list[ModelCall] = []
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        up.script(Silence())
        asked = make_turn(QUESTION, model="one", stream=stream)
        task = asyncio.create_task(run_turn(agent, asked, attempts=attempts))
        await up.wait_for_calls(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [(a.outcome, a.usage) for a in attempts] == [("cancelled", Usage(PROMPT, 0))]


async def test_reasoning_is_charged_when_the_turn_is_cancelled() -> None:
    attempts: list[ModelCall] = []
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        up.script(Reply(reasoning=("Let me think. " * 50,), gate=asyncio.Event(), gate_at=1))
        seen = asyncio.Event()
        running = agent.run(
            TurnRun(
                make_turn("Hi", model="one"),
                (Message("user", "Hi"),),
                guards=BLOCK_INJECTION,
                allowed_models=None,
                model_calls=attempts,
                emit=lambda event: seen.set() if type(event).__name__ == "ReasoningDelta" else None,
            )
        )
        task = asyncio.create_task(running)
        await seen.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert attempts[0].usage.completion_tokens >= 150


async def test_a_timeout_without_output_costs_nothing() -> None:
    attempts: list[ModelCall] = []
    async with OpenAIUpstream() as up:
        up.script(Silence())
        config = make_catalog({"one": up.url}, timeouts={"first_token": 0.2, "live": 1})
        async with running_agent(config) as agent:
            await run_turn(agent, make_turn(QUESTION, model="one"), attempts=attempts)
    assert [(a.outcome, a.usage) for a in attempts] == [("upstream_timeout", Usage())]


@pytest.mark.parametrize("script", [Refusal(500), Refusal(429), Refusal(400), Refusal(401)])
async def test_a_rejected_request_costs_nothing(script: Any) -> None:
    attempts: list[ModelCall] = []
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        up.script(script)
        await run_turn(agent, make_turn(QUESTION, model="one"), attempts=attempts)
    assert [a.usage for a in attempts] == [Usage()]


async def test_a_failed_connection_costs_nothing() -> None:
    attempts: list[ModelCall] = []
    async with running_agent(make_catalog({"one": "http://127.0.0.1:9/v1"})) as agent:
        await run_turn(agent, make_turn(QUESTION, model="one"), attempts=attempts)
    assert [a.usage for a in attempts] == [Usage()]


async def test_a_question_blocked_before_the_call_costs_nothing() -> None:
    attempts: list[ModelCall] = []
    guard = ScriptedGuard(flagged=True)
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url}), guard=guard) as agent:
        await run_turn(agent, make_turn(QUESTION, model="one"), guard=BLOCK_INJECTION, attempts=attempts)
        assert sum(a.usage.prompt_tokens for a in attempts) == PROMPT * len(up.calls)
