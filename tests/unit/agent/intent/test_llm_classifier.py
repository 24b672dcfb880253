"""Classification by the light model, and the local result as fallback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.agent.intent import IntentClassifier
from gateway.agent.intent.llm_classifier import LABELS, parse_opinion
from gateway.domain.config.catalog import Catalog
from gateway.domain.events import Answer, TurnCompleted
from gateway.domain.requests import ConversationTarget, Turn
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream, Raw, Refusal, Reply, Silence

OPINION = {
    "intent": "creative",
    "complexity": 0.9,
    "needs_tools": False,
    "needs_code": False,
    "needs_fresh": False,
}
# The fast judge gives its label less than a probability of .55, and calls it easy.
UNSURE = "the usual for Anna and the other thing for me"
SURE = "hello, how is it going?"


def config_of(light: str, heavy: str, **intent: Any) -> Catalog:
    return make_catalog(
        {"light": light, "heavy": heavy},
        routing={"light": "light", "heavy": "heavy", "threshold": 0.5},
        retry={"attempts": 1},
        intent=intent,
    )


async def answer(up: OpenAIUpstream, asked: Turn, **intent: Any) -> Answer:
    async with running_agent(config_of(up.url, up.url, **intent)) as agent:
        events = await run_turn(agent, asked)
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer


def said(opinion: object) -> Reply:
    return Reply(text=(opinion if isinstance(opinion, str) else json.dumps(opinion),))


def test_the_sample_questions_have_the_expected_confidence() -> None:
    classifier = IntentClassifier.load()
    assert classifier.classify(UNSURE).confidence < 0.55
    assert classifier.classify(UNSURE).complexity < 0.5
    assert classifier.classify(SURE).confidence > 0.55


async def test_hybrid_mode_asks_the_light_model_when_unsure() -> None:
    async with OpenAIUpstream() as up:
        up.script(said(OPINION), Reply())
        got = await answer(up, make_turn(UNSURE, model="auto"), mode="hybrid")
        body = up.calls[0].body
    receipt = got.receipt
    assert (receipt.intent, receipt.intent_by) == ("creative", "light")
    assert [(a.step, a.outcome) for a in receipt.attempts] == [("intent", "ok"), ("answer", "ok")]
    assert got.model == "light"  # the difficulty stays the fast judge's
    assert body["response_format"]["json_schema"]["schema"]["properties"]["intent"]["enum"] == list(LABELS)
    assert body["max_tokens"] == 100
    assert body["temperature"] == 0


async def test_hybrid_mode_makes_no_call_when_sure() -> None:
    async with OpenAIUpstream() as up:
        got = await answer(up, make_turn(SURE, model="auto"), mode="hybrid")
        assert len(up.calls) == 1
    assert (got.receipt.intent, got.receipt.intent_by) == ("chat", "fast")
    assert got.receipt.intent_score > 0.55


async def test_llm_mode_always_asks_and_uses_the_complexity() -> None:
    async with OpenAIUpstream() as up:
        up.script(said(OPINION), Reply())
        got = await answer(up, make_turn(SURE, model="auto"), mode="llm")
    assert (got.receipt.intent, got.receipt.complexity, got.model) == ("creative", 0.9, "heavy")


async def test_no_call_is_made_for_a_named_model() -> None:
    async with OpenAIUpstream() as up:
        await answer(up, make_turn(UNSURE, model="heavy", conversation=ConversationTarget()), mode="llm")
        assert len(up.calls) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        Refusal(500),
        Refusal(400),
        Raw(b"garbage"),
        Reply(fault="reset", after=0),
        said("I think it is a question."),
        said({**OPINION, "intent": "unsafe"}),
        said({**OPINION, "intent": "refund"}),
        said({**OPINION, "complexity": 7}),
        said("[" * 5000),
        said('{"intent": "chat"'),
        said(""),
    ],
)
async def test_the_local_result_stands_when_the_light_model_fails(nonsense: Any) -> None:
    fast = IntentClassifier.load().classify(UNSURE)
    async with OpenAIUpstream() as up:
        up.script(nonsense, Reply())
        got = await answer(up, make_turn(UNSURE, model="auto"), mode="hybrid")
    assert (got.receipt.intent, got.receipt.intent_by) == (fast.label, "unconfirmed")
    assert got.content == "Hello, world!"


async def test_the_light_model_has_a_timeout() -> None:
    async with OpenAIUpstream() as up:
        up.script(Silence(), Reply())
        got = await answer(up, make_turn(UNSURE, model="auto"), mode="hybrid", timeout_seconds=1)
    assert got.receipt.intent_by == "unconfirmed"
    assert [a.outcome for a in got.receipt.attempts] == ["upstream_timeout", "ok"]


async def test_the_light_model_is_given_custom_intents() -> None:
    own = {"catering": ["one tray of sandwiches", "lunch for twelve", "two vegetarian boxes"]}
    async with OpenAIUpstream() as up:
        up.script(said({**OPINION, "intent": "catering"}), Reply())
        got = await answer(up, make_turn(UNSURE, model="auto"), mode="llm", exemplars=own)
        prompt = up.calls[0].body["messages"][0]["content"]
    assert got.receipt.intent == "catering"
    assert "one tray of sandwiches" in prompt


async def test_a_rule_routes_an_intent_to_its_model() -> None:
    own = {"refund": ["I want my money back", "refund my order please", "how do I get a refund"]}
    async with OpenAIUpstream() as up:
        config = make_catalog(
            {"light": up.url, "special": up.url},
            routing={"light": "light", "rules": [{"intent": ["refund"], "model": "special"}]},
            intent={"exemplars": own},
        )
        async with running_agent(config) as agent:
            refund = await run_turn(
                agent, make_turn("I would like my money back, refund my order", model="auto")
            )
            other = await run_turn(agent, make_turn(SURE, model="auto"))
    assert isinstance(refund[-1], TurnCompleted)
    assert isinstance(other[-1], TurnCompleted)
    assert refund[-1].answer.model == "special"
    assert refund[-1].answer.receipt.reason == "A rule for this kind of question (“refund”) names special."
    assert other[-1].answer.model == "light"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OPINION),
        f"Sure! ```json\n{json.dumps(OPINION)}\n```",
        json.dumps({**OPINION, "because": "it says so"}),
    ],
)
def test_a_json_object_within_text_is_parsed(text: str) -> None:
    opinion = parse_opinion(text, LABELS)
    assert opinion is not None
    assert opinion.intent == "creative"
