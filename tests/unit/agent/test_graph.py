"""The graph with real providers and upstream servers on loopback."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from gateway.agent.turn_run import TurnRun
from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    ModelNotAllowed,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.domain.events import (
    Answer,
    ChatEvent,
    ModelCall,
    RouteChosen,
    TextDelta,
    TextReplaced,
    ToolFinished,
    ToolStarted,
    TurnCompleted,
    TurnFailed,
)
from gateway.domain.messages import ImagePart, Message, TextPart
from gateway.domain.money import Usage
from gateway.domain.requests import ConversationTarget, ResponseFormat, Sampling, ToolSpec
from tests.support.agent import (
    BLOCK_INJECTION,
    GUARDS_OFF,
    ScriptedGuard,
    make_catalog,
    make_turn,
    run_turn,
    running_agent,
)
from tests.support.upstreams.openai_server import OpenAIUpstream, Refusal, Reply, ScriptedToolCall, Silence


def answer_of(events: list[ChatEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer


def failure_of(events: list[ChatEvent]) -> GatewayError:
    last = events[-1]
    assert isinstance(last, TurnFailed), last
    return last.error


def text_of(events: list[ChatEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta))


async def test_a_plain_turn_emits_route_text_and_one_end() -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        events = await run_turn(agent, make_turn(model="one"))
    answer = answer_of(events)
    assert isinstance(events[0], RouteChosen)
    assert events[0].model == "one"
    assert text_of(events) == answer.content == "Hello, world!"
    assert sum(isinstance(e, (TurnCompleted, TurnFailed)) for e in events) == 1
    assert (answer.model, answer.provider, answer.finish_reason) == ("one", "one", "stop")
    assert answer.usage == Usage(11, 4)
    assert answer.cost_usd == Decimal("0.000019")
    assert [a.outcome for a in answer.receipt.attempts] == ["ok"]
    assert set(answer.receipt.nodes_ms) == {"route", "llm"}


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "auto"},
        {"model": "one", "conversation": ConversationTarget()},
        {"model": "one", "guard": BLOCK_INJECTION},
    ],
)
async def test_a_question_is_classified_if_something_depends_on_it(fields: dict[str, Any]) -> None:
    guard = fields.pop("guard", GUARDS_OFF)
    config_of = {"routing": {"light": "one", "heavy": "one"}}
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url}, **config_of)) as agent:
        events = await run_turn(agent, make_turn("What is 12 * 7?", **fields), guard=guard)
    answer = answer_of(events)
    assert answer.receipt.intent == "math"
    assert "intent" in answer.receipt.nodes_ms


async def test_an_unstreamed_turn_makes_an_unstreamed_call() -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        events = await run_turn(agent, make_turn(model="one", stream=False))
        assert up.calls[0].body.get("stream") in (None, False)
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["Hello, world!"]


async def test_a_failure_before_output_falls_back() -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as sound:
        broken.script(Refusal(500))
        config = make_catalog({"one": broken.url, "two": sound.url}, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
    answer = answer_of(events)
    assert [e.model for e in events if isinstance(e, RouteChosen)] == ["one", "two"]
    assert (answer.model, answer.fallback_from, answer.content) == ("two", "one", "Hello, world!")
    assert [a.outcome for a in answer.receipt.attempts] == ["upstream_failed", "ok"]


async def test_no_fallback_after_output() -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as sound:
        broken.script(Reply(fault="reset", after=2))
        config = make_catalog({"one": broken.url, "two": sound.url}, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
        assert sound.calls == []
    assert isinstance(failure_of(events), UpstreamBroken)
    last = events[-1]
    assert isinstance(last, TurnFailed)
    assert last.answer is not None
    assert last.answer.content == text_of(events) == "Hello, "
    assert last.answer.status == "failed"


async def test_an_invalid_request_does_not_fall_back() -> None:
    async with OpenAIUpstream() as strict, OpenAIUpstream() as other:
        strict.script(Refusal(400))
        config = make_catalog({"one": strict.url, "two": other.url}, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
        assert other.calls == []
    assert isinstance(failure_of(events), UpstreamRejected)


async def test_if_all_models_fail_the_first_error_is_reported() -> None:
    async with OpenAIUpstream() as one, OpenAIUpstream() as two:
        one.script(Refusal(500))
        two.script(Reply(fault="cut", after=0))
        config = make_catalog({"one": one.url, "two": two.url}, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
    assert isinstance(failure_of(events), UpstreamUnavailable)
    assert text_of(events) == ""


async def test_silence_before_output_is_a_timeout_that_falls_back() -> None:
    async with OpenAIUpstream() as silent, OpenAIUpstream() as sound:
        silent.script(Silence())
        config = make_catalog(
            {"one": silent.url, "two": sound.url},
            fallbacks={"one": ["two"]},
            timeouts={"first_token": 1, "live": 30},
        )
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
        await asyncio.wait_for(silent.calls[0].disconnected.wait(), 30)
    answer = answer_of(events)
    assert answer.model == "two"
    assert answer.receipt.attempts[0].outcome == "upstream_timeout"


async def test_silence_after_output_ends_the_turn_with_the_partial_answer() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(fault="hang", after=2))
        config = make_catalog({"one": up.url}, timeouts={"first_token": 0.3, "live": 30})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one"))
        await asyncio.wait_for(up.calls[0].disconnected.wait(), 30)
    assert isinstance(failure_of(events), UpstreamTimeout)
    assert text_of(events) == "Hello, "


async def test_tools_run_and_the_model_answers_with_their_results() -> None:
    async with OpenAIUpstream() as up:
        up.script(
            Reply(
                text=(),
                tools=(
                    ScriptedToolCall("calculator", ('{"expres', 'sion": "6*7"}'), "call_a"),
                    ScriptedToolCall("current_time", ("{}",), "call_b"),
                ),
                finish="tool_calls",
            ),
            Reply(text=("It is 42.",)),
        )
        async with running_agent(make_catalog({"one": up.url})) as agent:
            events = await run_turn(agent, make_turn("What is 6*7?", model="one", gateway_tools=None))
        second = up.calls[1].body["messages"]
    started = [e.call.name for e in events if isinstance(e, ToolStarted)]
    finished = {e.id: e for e in events if isinstance(e, ToolFinished)}
    assert sorted(started) == ["calculator", "current_time"]
    assert finished["call_a"].ok
    assert "42" in finished["call_a"].content
    assert [m["role"] for m in second] == ["user", "assistant", "tool", "tool"]
    assert [m["tool_call_id"] for m in second[2:]] == ["call_a", "call_b"]
    answer = answer_of(events)
    assert answer.content == "It is 42."
    assert answer.usage == Usage(22, 8)
    assert [t["name"] for t in answer.receipt.tools] == ["calculator", "current_time"]


async def test_each_tool_round_includes_the_models_text_of_that_round() -> None:
    async with OpenAIUpstream() as up:
        call = ScriptedToolCall("current_time", ("{}",))
        up.script(
            Reply(text=("First. ",), tools=(call,), finish="tool_calls"),
            Reply(text=("Second. ",), tools=(call,), finish="tool_calls"),
            Reply(text=("Done.",)),
        )
        async with running_agent(make_catalog({"one": up.url})) as agent:
            events = await run_turn(agent, make_turn(model="one", gateway_tools=None))
        sent = up.calls[2].body["messages"]
    assert [m["content"] for m in sent if m["role"] == "assistant"] == ["First. ", "Second. "]
    assert answer_of(events).content == "First. Second. Done."


async def test_an_invalid_tool_call_gets_an_error_result() -> None:
    async with OpenAIUpstream() as up:
        calls = (
            ScriptedToolCall("no_such_tool", ("{}",), "a"),
            ScriptedToolCall("calculator", ("{broken",), "b"),
        )
        up.script(Reply(text=(), tools=calls, finish="tool_calls"), Reply())
        async with running_agent(make_catalog({"one": up.url})) as agent:
            events = await run_turn(agent, make_turn(model="one", gateway_tools=None))
    assert [e.ok for e in events if isinstance(e, ToolFinished)] == [False, False]
    assert answer_of(events).content == "Hello, world!"


async def test_after_the_last_round_no_tools_are_offered() -> None:
    async with OpenAIUpstream() as up:
        loop = Reply(text=(), tools=(ScriptedToolCall("current_time", ("{}",)),), finish="tool_calls")
        up.script(loop, loop, Reply(text=("Enough.",)))
        config = make_catalog({"one": up.url}, tools={"enabled": ["current_time"], "max_rounds": 2})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one", gateway_tools=None))
        assert ["tools" in call.body for call in up.calls] == [True, True, False]
    assert answer_of(events).content == "Enough."


async def test_calls_of_tools_that_were_not_offered_fall_back() -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as other:
        up.script(Reply(text=(), tools=(ScriptedToolCall("current_time", ("{}",)),), finish="tool_calls"))
        config = make_catalog(
            {"one": up.url, "two": other.url},
            tools={"enabled": ["current_time"], "max_rounds": 2},
            fallbacks={"one": ["two"]},
        )
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one", gateway_tools=None))
        assert (len(up.calls), len(other.calls)) == (3, 1)
        assert "tools" not in other.calls[0].body
    answer = answer_of(events)
    assert (answer.content, answer.fallback_from) == ("Hello, world!", "one")
    assert len(answer.receipt.tools) == 2


@pytest.mark.parametrize("gateway_tools", [None, ()], ids=["offered at first", "never offered"])
async def test_endless_tool_calls_are_stopped(
    gateway_tools: tuple[str, ...] | None,
) -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=(), tools=(ScriptedToolCall("current_time", ("{}",)),), finish="tool_calls"))
        config = make_catalog({"one": up.url}, tools={"enabled": ["current_time"], "max_rounds": 2})
        async with running_agent(config) as agent:
            events = await run_turn(agent, make_turn(model="one", gateway_tools=gateway_tools))
        assert len(up.calls) == 3
    last = events[-1]
    assert isinstance(last, TurnFailed)
    assert "beyond this turn's 2 rounds" in last.error.message
    assert last.answer is not None
    assert len(last.answer.receipt.attempts) == 3


async def test_text_beside_endless_tool_calls_is_kept() -> None:
    async with OpenAIUpstream() as up:
        up.script(
            Reply(text=("Well. ",), tools=(ScriptedToolCall("current_time", ("{}",)),), finish="tool_calls")
        )
        config = make_catalog({"one": up.url}, tools={"enabled": ["current_time"], "max_rounds": 2})
        async with running_agent(config) as agent:
            answer = answer_of(await run_turn(agent, make_turn(model="one", gateway_tools=None)))
        assert len(up.calls) == 3
    assert (answer.content, answer.finish_reason, answer.tool_calls) == ("Well. Well. Well. ", "length", ())


async def test_client_tool_calls_are_returned_to_the_client() -> None:
    async with OpenAIUpstream() as up:
        up.script(Reply(text=(), tools=(ScriptedToolCall("lookup", ('{"q":1}',)),), finish="tool_calls"))
        async with running_agent(make_catalog({"one": up.url})) as agent:
            spec = ToolSpec("lookup", "Looks up.", {"type": "object"})
            events = await run_turn(agent, make_turn(model="one", client_tools=(spec,)))
    answer = answer_of(events)
    assert answer.finish_reason == "tool_calls"
    assert [(c.name, c.arguments) for c in answer.tool_calls] == [("lookup", '{"q":1}')]
    assert not any(isinstance(e, ToolStarted) for e in events)


async def test_a_blocked_question_is_answered_with_a_refusal() -> None:
    async with (
        OpenAIUpstream() as up,
        running_agent(make_catalog({"one": up.url}), guard=ScriptedGuard(flagged=True)) as agent,
    ):
        events = await run_turn(agent, make_turn(model="one"), guard=BLOCK_INJECTION)
    answer = answer_of(events)
    assert text_of(events) == ""
    assert [e.text for e in events if isinstance(e, TextReplaced)] == [answer.content]
    assert "change the instructions" in answer.content
    assert answer.finish_reason == "content_filter"
    assert answer.receipt.guardrails[0]["flagged"] is True


async def test_a_passed_verdict_is_in_the_receipt() -> None:
    async with (
        OpenAIUpstream() as up,
        running_agent(make_catalog({"one": up.url}), guard=ScriptedGuard(flagged=False)) as agent,
    ):
        events = await run_turn(agent, make_turn(model="one"), guard=BLOCK_INJECTION)
    answer = answer_of(events)
    assert answer.content == "Hello, world!"
    assert [v["guard"] for v in answer.receipt.guardrails] == ["injection"]


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"response_format": ResponseFormat("json_object")}, UnsupportedParameter, "response_format"),
        ({"client_tools": (ToolSpec("f", "", {}),)}, UnsupportedParameter, "tools"),
        ({"logprobs": True}, UnsupportedParameter, "logprobs"),
        (
            {"messages": (Message("user", (TextPart("x"), ImagePart("https://example.org/a.png"))),)},
            UnsupportedParameter,
            "messages",
        ),
        ({"messages": (Message("user", "word " * 5000),)}, ContextLengthExceeded, "messages"),
    ],
)
async def test_a_named_model_rejects_unsupported_features_before_the_call(
    fields: dict[str, object], error: type[GatewayError], param: str
) -> None:
    async with OpenAIUpstream() as up:
        bare = {"provider": "one", "model": "bare", "context_window": 4096}
        async with running_agent(make_catalog({"one": up.url}, models={"bare": bare})) as agent:
            events = await run_turn(agent, make_turn(model="bare", **fields))
        assert up.calls == []
    failure = failure_of(events)
    assert isinstance(failure, error)
    assert failure.param == param


async def test_an_alias_selects_its_first_capable_model() -> None:
    async with OpenAIUpstream() as up:
        bare = {"provider": "one", "model": "bare", "context_window": 4096}
        config = make_catalog({"one": up.url}, models={"bare": bare}, aliases={"fast": ["bare", "one"]})
        async with running_agent(config) as agent:
            asked = make_turn(model="fast", response_format=ResponseFormat("json_object"))
            events = await run_turn(agent, asked)
    assert answer_of(events).model == "one"


async def test_auto_routes_by_complexity() -> None:
    hard = (
        "Prove that every bounded sequence of real numbers has a convergent subsequence, then generalise "
        "the proof to compact metric spaces, and discuss with full rigour where completeness is used."
    )
    async with OpenAIUpstream() as up:
        config = make_catalog(
            {"light": up.url, "heavy": up.url}, routing={"light": "light", "heavy": "heavy", "threshold": 0.4}
        )
        async with running_agent(config) as agent:
            easy_events = await run_turn(agent, make_turn("hi", model="auto"))
            hard_events = await run_turn(agent, make_turn(hard, model="auto"))
    assert answer_of(easy_events).model == "light"
    assert answer_of(hard_events).model == "heavy"


async def test_a_role_rule_takes_precedence_over_complexity() -> None:
    async with OpenAIUpstream() as up:
        routing = {
            "light": "light",
            "heavy": "light",
            "rules": [{"role": ["copywriter"], "model": "special"}],
        }
        async with running_agent(
            make_catalog({"light": up.url, "special": up.url}, routing=routing)
        ) as agent:
            events = await run_turn(agent, make_turn(model="auto", role="copywriter"))
    assert answer_of(events).model == "special"


async def test_an_api_key_reaches_only_its_models_even_by_fallback() -> None:
    async with OpenAIUpstream() as broken, OpenAIUpstream() as other:
        broken.script(Refusal(500))
        config = make_catalog({"one": broken.url, "two": other.url}, fallbacks={"one": ["two"]})
        async with running_agent(config) as agent:
            refused = await run_turn(agent, make_turn(model="two"), allowed=frozenset({"one"}))
            failed = await run_turn(agent, make_turn(model="one"), allowed=frozenset({"one"}))
        assert other.calls == []
    assert isinstance(failure_of(refused), ModelNotAllowed)
    assert isinstance(failure_of(failed), UpstreamUnavailable)


async def test_an_api_key_for_auto_may_not_name_models() -> None:
    async with OpenAIUpstream() as up:
        config = make_catalog({"one": up.url, "two": up.url}, routing={"light": "one", "heavy": "one"})
        async with running_agent(config) as agent:
            picked = await run_turn(agent, make_turn(model="auto"), allowed=frozenset({"auto"}))
            named = await run_turn(agent, make_turn(model="two"), allowed=frozenset({"auto"}))
            up.script(Refusal(500))
            smuggled = await run_turn(
                agent, make_turn(model="auto", fallbacks=("two",)), allowed=frozenset({"auto"})
            )
    assert answer_of(picked).model == "one"
    assert isinstance(failure_of(named), ModelNotAllowed)
    assert isinstance(failure_of(smuggled), UpstreamUnavailable)
    assert {call.body["model"] for call in up.calls} == {"vendor-one"}


async def test_a_cancelled_call_is_recorded_and_closed_upstream() -> None:
    async with OpenAIUpstream() as up:
        gate = asyncio.Event()
        up.script(Reply(gate=gate, gate_at=2))
        attempts: list[ModelCall] = []
        spoke = asyncio.Event()
        async with running_agent(make_catalog({"one": up.url})) as agent:
            asked = make_turn(model="one")
            task = asyncio.create_task(
                agent.run(
                    TurnRun(
                        asked,
                        asked.messages,
                        guards=BLOCK_INJECTION,
                        allowed_models=None,
                        model_calls=attempts,
                        emit=lambda event: spoke.set() if isinstance(event, TextDelta) else None,
                    )
                )
            )
            await spoke.wait()
            task.cancel()
            await asyncio.wait({task})
            await asyncio.wait_for(up.calls[0].disconnected.wait(), 30)
    assert [a.outcome for a in attempts] == ["cancelled"]
    assert attempts[0].usage.completion_tokens > 0


async def test_sampling_reaches_the_vendor() -> None:
    async with OpenAIUpstream() as up, running_agent(make_catalog({"one": up.url})) as agent:
        sampling = Sampling(temperature=0.1, top_p=0.9, max_tokens=7, stop=("END",), seed=5)
        await run_turn(agent, make_turn(model="one", sampling=sampling, extra={"top_k": 3}))
        body = up.calls[0].body
    assert (body["temperature"], body["top_p"], body["seed"], body["top_k"]) == (0.1, 0.9, 5, 3)
    assert body["max_tokens"] == 7
    assert body["stop"] in ("END", ["END"])
