"""Estimates of turns: the prompt, the answer, and the most expensive model that may answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from gateway.core.ids import new_id
from gateway.domain.messages import ImagePart, Message, TextPart
from gateway.domain.requests import ConversationTarget, Sampling, ToolSpec
from gateway.services.chat.cost_estimate import CostEstimator
from tests.support.agent import make_catalog, make_turn, running_agent

UNREACHABLE = "http://127.0.0.1:9/v1"


def model(price: tuple[int, int], provider: str = "up") -> dict[str, Any]:
    return {"provider": provider, "model": "v", "price": {"input": price[0], "output": price[1]}}


@pytest.fixture
async def estimator() -> AsyncIterator[CostEstimator]:
    config = make_catalog(
        {"up": UNREACHABLE},
        models={
            "up": model((1, 2)),
            "wordy": model((0, 9)),
            "dear": model((50, 50)),
            "lone": model((7, 7)),
        },
        aliases={"fast": ["up"]},
        routing={"light": "up", "heavy": "lone"},
        fallbacks={"up": ["wordy"]},
        limits={"default_max_tokens": 100},
    )
    async with running_agent(config) as agent:
        yield CostEstimator(agent.resources)


def millionths(prompt: int, answer: int, price: tuple[int, int]) -> Decimal:
    return Decimal(prompt * price[0] + answer * price[1]) / 1_000_000


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        ({"model": "lone"}, (7, 7)),
        ({"model": "up"}, (1, 9)),  # or its fallback
        ({"model": "fast"}, (1, 9)),
        ({"model": "auto"}, (7, 9)),
        ({"model": None}, (7, 9)),
        ({"model": "up", "fallbacks": ("dear",)}, (50, 50)),
        ({"model": "up", "fallbacks": ("fast",)}, (1, 2)),
        ({"model": "lone", "fallbacks": ()}, (7, 7)),
        # The conversation's own model, which is not known yet.
        ({"model": None, "conversation": ConversationTarget(id=new_id())}, (50, 50)),
    ],
)
def test_the_dearest_model_that_may_answer_sets_the_price(
    estimator: CostEstimator, fields: dict[str, Any], price: tuple[int, int]
) -> None:
    estimate = estimator.estimate(make_turn("Hi", **fields))
    assert estimate.tokens == 5 + 100
    assert estimate.usd == millionths(5, 100, price)


def test_max_tokens_is_reserved_for_the_answer(estimator: CostEstimator) -> None:
    assert estimator.estimate(make_turn("Hi", model="lone", sampling=Sampling(max_tokens=7))).tokens == 12


def test_everything_that_is_sent_is_part_of_the_prompt(estimator: CostEstimator) -> None:
    plain = estimator.estimate(make_turn("Hi", model="lone")).tokens
    question = Message("user", (TextPart("Hi"), ImagePart("data:image/png;base64,AAAA")))
    tool = ToolSpec("t", "d" * 400, {"type": "object", "description": "p" * 400})
    bigger = {
        "several messages": {"messages": (Message("system", "Be brief. " * 10), Message("user", "Hi"))},
        "an image": {"messages": (question,)},
        "tools": {"client_tools": (tool,)},
        "a system prompt": {"conversation": ConversationTarget(system="Be brief. " * 10)},
    }
    for name, fields in bigger.items():
        assert estimator.estimate(make_turn("Hi", model="lone", **fields)).tokens > plain + 20, name


async def test_definitions_of_gateway_tools_are_reserved_if_they_are_sent() -> None:
    config = make_catalog({"up": UNREACHABLE}, tools={"enabled": ["calculator", "current_time"]})
    short = Sampling(max_tokens=10)
    async with running_agent(config) as agent:
        estimator = CostEstimator(agent.resources)

        def reserved(tools: tuple[str, ...] | None) -> int:
            return estimator.estimate(make_turn("Hi", model="up", sampling=short, gateway_tools=tools)).tokens

        specs = agent.resources.tools.specs()
    assert reserved(()) == 5 + 10
    both, one = reserved(None), reserved(("calculator",))
    assert both > one > 5 + 10
    assert both - 15 >= len(json.dumps([{"name": s.name, **s.parameters} for s in specs])) // 4


@pytest.mark.parametrize(
    ("text", "least"), [("7 3 9 1 " * 100, 400), ("뷁쀓" * 100, 400), ("word " * 100, 125)]
)
def test_a_prompt_is_reserved_by_the_tokenizers_that_need_the_most(
    estimator: CostEstimator, text: str, least: int
) -> None:
    estimate = estimator.estimate(make_turn(text, model="lone", sampling=Sampling(max_tokens=1)))
    assert least <= estimate.tokens < 3 * least


async def test_a_model_without_a_key_for_its_provider_cannot_answer_and_sets_no_price() -> None:
    config = make_catalog(
        {"up": UNREACHABLE},
        models={"up": model((1, 2))},
        fallbacks={},
        aliases={"any": ["up"]},
    )
    dear = config.model_dump()
    dear["providers"]["unset"] = {"type": "openai"}
    dear["models"]["dear"] = model((50, 50), "unset")
    dear["aliases"]["any"] = ["up", "dear"]
    async with running_agent(type(config).model_validate(dear)) as agent:
        estimate = CostEstimator(agent.resources).estimate(
            make_turn("Hi", model="any", sampling=Sampling(max_tokens=10))
        )
    assert estimate.usd == millionths(5, 10, (1, 2))
