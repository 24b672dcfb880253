"""The moderation model: when it is called, charged and ignored."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.domain.config.guardrails import GuardModes
from gateway.domain.events import Answer, ChatEvent, ModelCall, TextDelta, TextReplaced, TurnCompleted
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, Silence

UNSAFE = GuardModes(unsafe="block")
MODERATED: dict[str, Any] = {"guardrails": {"moderation": {"model": "judge", "timeout_seconds": 5}}}


def says(flagged: object, category: str = "weapons") -> Reply:
    found = {"flagged": flagged, "category": category, "reason": "because of SECRET WORDS in it"}
    return Reply(text=(f"Sure: {json.dumps(found)}",))


async def ask(
    judge: OpenAIUpstream, answering: OpenAIUpstream, **fields: Any
) -> tuple[Answer, list[ChatEvent]]:
    sections = fields.pop("sections", MODERATED)
    guard = fields.pop("guard", UNSAFE)
    async with running_agent(make_catalog({"one": answering.url, "judge": judge.url}, **sections)) as agent:
        events = await run_turn(agent, make_turn("How do I build one?", model="one", **fields), guard=guard)
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer, events


async def test_a_flagged_question_is_refused_with_a_fixed_sentence() -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(says(True))
        answer, events = await ask(judge, up)
        body = judge.calls[0].body
    assert not [e for e in events if isinstance(e, TextDelta)]
    assert [e.reason for e in events if isinstance(e, TextReplaced)] == [answer.blocked_reason]
    assert answer.blocked_reason == "The question asks for something that could cause harm (weapons)."
    assert "SECRET WORDS" not in json.dumps(answer.receipt.as_json())
    assert answer.finish_reason == "content_filter"
    (entry,) = answer.receipt.guardrails
    assert (entry["guard"], entry["where"], entry["verdict"], entry["score"]) == (
        "moderation",
        "input",
        "block",
        1.0,
    )
    steps = {attempt.step: attempt for attempt in answer.receipt.attempts}
    assert steps["moderation"].outcome == "ok"
    assert steps["moderation"].cost_usd > 0
    assert body["messages"][-1] == {"role": "user", "content": "How do I build one?"}
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["flagged", "category", "reason"]


async def test_both_calls_are_charged_when_the_question_passes() -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(says(False, "none"))
        answer, _ = await ask(judge, up)
    assert answer.content == "Hello, world!"
    assert [(v["guard"], v["verdict"]) for v in answer.receipt.guardrails] == [("moderation", "pass")]
    assert sorted(a.step for a in answer.receipt.attempts) == ["answer", "moderation"]
    assert answer.cost_usd == sum(a.cost_usd for a in answer.receipt.attempts)


async def test_in_flag_mode_an_objection_is_recorded() -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(says(True, "nonsense"))
        answer, _ = await ask(judge, up, guard=GuardModes(unsafe="flag"))
    assert answer.content == "Hello, world!"
    assert answer.receipt.guardrails[0]["verdict"] == "flag"
    assert answer.receipt.guardrails[0]["reason"] == "The question asks for something that could cause harm."


@pytest.mark.parametrize(
    "reply",
    [
        Refusal(500),
        Reply(text=("I'd rather not",)),
        Reply(text=('{"flagged": ',)),
        says("yes"),
        Reply(text=("[1]",)),
    ],
)
async def test_a_moderator_without_a_verdict_fails_open_by_default(reply: Any) -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(reply)
        answer, _ = await ask(judge, up)
    assert answer.content == "Hello, world!"
    assert [(v["guard"], v["verdict"]) for v in answer.receipt.guardrails] == [("moderation", "pass")]


@pytest.mark.parametrize(
    "reply",
    [Refusal(500), Refusal(400), Reply(text=("I'd rather not",)), Reply(text=('{"flagged": ',)), says("yes")],
)
async def test_on_error_block_refuses_a_question_without_a_verdict(reply: Any) -> None:
    strict = {"guardrails": {"moderation": {"model": "judge", "on_error": "block"}}}
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(reply)
        answer, events = await ask(judge, up, sections=strict)
        assert not [e for e in events if isinstance(e, TextDelta)]
        judge.script(says(False))
        allowed, _ = await ask(judge, up, sections=strict)
    assert answer.finish_reason == "content_filter"
    assert answer.blocked_reason is not None
    assert answer.blocked_reason.startswith("The question could not be checked.")
    assert [(v["guard"], v["verdict"]) for v in answer.receipt.guardrails] == [("moderation", "block")]
    assert allowed.content == "Hello, world!"


async def test_on_error_block_in_flag_mode_records_the_missing_verdict() -> None:
    strict = {"guardrails": {"moderation": {"model": "judge", "on_error": "block"}}}
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(Refusal(500))
        answer, _ = await ask(judge, up, sections=strict, guard=GuardModes(unsafe="flag"))
    assert answer.content == "Hello, world!"
    assert answer.receipt.guardrails[0]["verdict"] == "flag"


async def test_a_silent_moderator_costs_at_most_its_timeout() -> None:
    sections = {"guardrails": {"moderation": {"model": "judge", "timeout_seconds": 0.05}}}
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(Silence())
        answer, _ = await ask(judge, up, sections=sections)
    assert answer.content == "Hello, world!"
    assert "upstream_timeout" in answer.receipt.guardrails[0]["reason"]
    assert {a.step: a.outcome for a in answer.receipt.attempts}["moderation"] == "upstream_timeout"


@pytest.mark.parametrize(
    ("sections", "guard"),
    [({}, UNSAFE), (MODERATED, GuardModes(leak="block")), (MODERATED, GuardModes(injection="block"))],
)
async def test_moderation_runs_only_if_configured_and_unsafe_is_on(sections: Any, guard: GuardModes) -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        await ask(judge, up, sections=sections, guard=guard)
        assert judge.calls == []


async def test_a_cancelled_turn_cancels_and_records_its_moderation() -> None:
    attempts: list[ModelCall] = []
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(Silence())
        async with running_agent(make_catalog({"one": up.url, "judge": judge.url}, **MODERATED)) as agent:
            asked = make_turn("How?", model="one")
            task = asyncio.create_task(run_turn(agent, asked, guard=UNSAFE, attempts=attempts))
            await judge.wait_for_calls(1)
            await up.wait_for_calls(1)
            task.cancel()
            await asyncio.wait({task})
    assert sorted((a.step, a.outcome) for a in attempts) == [
        ("answer", "cancelled"),
        ("moderation", "cancelled"),
    ]


async def test_a_long_question_is_judged_by_its_ends() -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(says(False, "none"))
        sections = {
            **MODERATED,
            "models": {"one": {"provider": "one", "model": "v", "context_window": 10**6}},
        }
        async with running_agent(make_catalog({"one": up.url, "judge": judge.url}, **sections)) as agent:
            await run_turn(agent, make_turn("first " + "x" * 100_000 + " last", model="one"), guard=UNSAFE)
        asked = judge.calls[0].body["messages"][-1]["content"]
    assert asked.startswith("first ")
    assert asked.endswith(" last")
    assert len(asked) < 13_000


@pytest.mark.parametrize(("allowed", "asked"), [({"one"}, 0), ({"one", "judge"}, 1), (None, 1)])
async def test_moderation_respects_the_models_of_the_api_key(allowed: set[str] | None, asked: int) -> None:
    async with OpenAIUpstream() as judge, OpenAIUpstream() as up:
        judge.script(says(False))
        async with running_agent(make_catalog({"one": up.url, "judge": judge.url}, **MODERATED)) as agent:
            events = await run_turn(
                agent,
                make_turn("How do I build one?", model="one"),
                guard=UNSAFE,
                allowed=None if allowed is None else frozenset(allowed),
            )
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    assert len(judge.calls) == asked
    (entry,) = last.answer.receipt.guardrails
    assert entry["verdict"] == "pass"
    assert ("API key" in entry["reason"]) == (not asked)
