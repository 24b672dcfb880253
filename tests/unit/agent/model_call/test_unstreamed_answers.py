"""Unstreamed answers with alternatives are streamed upstream and assembled."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from gateway.agent.model_call import stream_assembler
from gateway.core.event_loop_yielding import iterate_cooperatively
from gateway.core.exceptions import UpstreamTimeout
from gateway.domain.config.catalog import Catalog
from gateway.domain.events import (
    Answer,
    ChatEvent,
    ModelCall,
    ProviderEvent,
    TextDelta,
    TurnCompleted,
    TurnFailed,
)
from gateway.domain.messages import Message, RawPart, TextPart
from gateway.domain.requests import ResponseFormat, Sampling, ToolChoice, ToolSpec
from tests.support.agent import make_catalog, make_turn, run_turn, running_agent
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import (
    Raw,
    ReceivedCall,
    Refusal,
    Reply,
    ScriptedToolCall,
    Silence,
    UpstreamServer,
)
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.openai_server import OpenAIUpstream

SERVERS: dict[str, type[UpstreamServer]] = {
    "openai": OpenAIUpstream,
    "anthropic": AnthropicUpstream,
    "gemini": GeminiUpstream,
    "ollama": OllamaUpstream,
}
MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "ollama": "llama3.2:3b",
}
ABLE = ["tools", "json", "vision", "logprobs"]
PRICE = {"input": 0.15, "output": 0.60}
TOOLS = (
    ToolSpec("get_weather", "Weather of a place", {"type": "object", "properties": {"place": {}}}),
    ToolSpec("get_time", "Time of a place", {"type": "object", "properties": {"place": {}}}),
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def warm_up() -> None:
    """Import the vendors' SDKs, so that no short limit of a test is spent on that."""
    importlib.import_module("langchain_google_genai")
    importlib.import_module("langchain_ollama")


def of(kind: str, url: str, spare: str | None, own: dict[str, Any] | None = None, **sections: Any) -> Catalog:
    """Model `one` of a vendor with `own` settings, with the fallback `spare` or without any."""
    one = {"provider": "vendor", "model": MODELS[kind], "context_window": 100_000, "price": PRICE}
    two = {"provider": "spare", "model": "spare", "context_window": 100_000, "price": PRICE}
    sections.setdefault("retry", {"attempts": 3, "backoff_seconds": 0.001})
    return Catalog.model_validate(
        {
            "providers": {
                "vendor": {"type": kind, "base_url": url, "api_key": "k", **(own or {})},
                "spare": {"type": "openai", "base_url": spare or url},
            },
            "models": {"one": {**one, "capabilities": ABLE}, "spare": {**two, "capabilities": ABLE}},
            "fallbacks": {"one": ["spare"]} if spare else {},
            **sections,
        }
    )


async def asked(config: Catalog, attempts: list[ModelCall] | None = None, **fields: Any) -> list[ChatEvent]:
    async with running_agent(config) as agent:
        return await run_turn(agent, make_turn(model="one", stream=False, **fields), attempts=attempts)


def answer_of(events: list[ChatEvent]) -> Answer:
    last = events[-1]
    assert isinstance(last, TurnCompleted), last
    return last.answer


def is_stream(kind: str, call: ReceivedCall) -> bool:
    return SERVERS[kind]().wants_stream(call)


CASES: dict[str, tuple[Reply, dict[str, Any]]] = {
    "text": (Reply(text=("Good ", "day, ", "한국", "어 😀")), {}),
    "cut by its limit": (Reply(finish="length"), {"sampling": Sampling(max_tokens=250)}),
    "filtered": (Reply(finish="content_filter"), {}),
    "without counts": (Reply(usage=None), {}),
    "thoughts": (Reply(reasoning=("I ", "think.")), {}),
    "two calls": (
        Reply(
            text=("Let me ", "look."),
            tools=(
                ScriptedToolCall("get_weather", ('{"pla', 'ce": "Oslo"}'), "toolu_1"),
                ScriptedToolCall("get_time", ('{"place":', ' "Oslo"}'), "toolu_2"),
            ),
            finish="tool_calls",
        ),
        {"client_tools": TOOLS, "tool_choice": ToolChoice("auto")},
    ),
    "an object": (
        Reply(text=('{"a"', ": 1}")),
        {"response_format": ResponseFormat("json_schema", "it", SCHEMA, strict=True)},
    ),
}
# Anthropic always counts.
EVERY = [(k, case) for k in SERVERS for case in CASES if (k, case) != ("anthropic", "without counts")]


def shown(answer: Answer, kind: str) -> dict[str, Any]:
    """All that a caller or the ledger sees of an answer, but for times and ids that the gateway makes."""
    vendor = answer.vendor
    calls = [
        (call.id if kind in ("openai", "anthropic") else "", call.name, call.arguments.replace(" ", ""))
        for call in answer.tool_calls
    ]
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "calls": calls,
        "logprobs": answer.logprobs,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "cost": answer.cost_usd,
        "status": answer.status,
        "model": (answer.model, answer.provider, answer.fallback_from),
        "refused": answer.refused,
        "vendor": (vendor.fields, vendor.type, vendor.provider, vendor.model) if vendor is not None else None,
        "attempts": [replace(attempt, ms=0) for attempt in answer.receipt.attempts],
    }


@pytest.mark.parametrize(("kind", "case"), EVERY)
async def test_an_assembled_answer_equals_the_unstreamed_one(kind: str, case: str) -> None:
    reply, fields = CASES[case]
    async with SERVERS[kind]() as up, OpenAIUpstream() as spare:
        up.script(reply)
        alone = await asked(of(kind, up.url, None), **fields)
        beside = await asked(of(kind, up.url, spare.url), **fields)
        assert [is_stream(kind, call) for call in up.calls] == [False, True]
        assert spare.calls == []
    assert shown(answer_of(beside), kind) == shown(answer_of(alone), kind)
    assert [type(event) for event in beside] == [type(event) for event in alone]


async def test_assembled_logprobs_equal_the_unstreamed_ones() -> None:
    reply = Reply(text=("Good", " day"), logprobs=True)
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(reply)
        alone = answer_of(await asked(of("openai", up.url, None), logprobs=True))
        beside = answer_of(await asked(of("openai", up.url, spare.url), logprobs=True))
        assert [call.body["stream"] for call in up.calls] == [False, True]
    assert shown(beside, "openai") == shown(alone, "openai")
    assert [entry["token"] for entry in beside.logprobs] == ["Good", " day"]


async def test_assembled_signed_reasoning_equals_the_unstreamed_one() -> None:
    reply = Reply(
        reasoning=("I ", "think."),
        tools=(ScriptedToolCall("get_time", ("{}",), "toolu_1"),),
        finish="tool_calls",
    )
    async with AnthropicUpstream() as up, OpenAIUpstream() as spare:
        up.redacted = "c2VjcmV0"
        up.script(reply)
        alone = answer_of(await asked(of("anthropic", up.url, None), client_tools=TOOLS))
        beside = answer_of(await asked(of("anthropic", up.url, spare.url), client_tools=TOOLS))
    assert alone.vendor is not None
    assert beside.vendor is not None
    assert beside.vendor.content == alone.vendor.content
    assert beside.vendor.fields == alone.vendor.fields != {}


# Silence from the beginning, after headers, and after a word.
STALLS = {
    "nothing": Silence(),
    "headers": Raw((), ending="hang"),
    "a word": Reply(fault="hang", after=1),
}


@pytest.mark.parametrize(
    ("kind", "stall"),
    [("openai", "nothing"), ("openai", "headers"), *((kind, "a word") for kind in SERVERS)],
)
async def test_a_silent_upstream_falls_back_once(kind: str, stall: str) -> None:
    warm_up()
    async with SERVERS[kind]() as up, OpenAIUpstream() as spare:
        up.script(STALLS[stall])
        attempts: list[ModelCall] = []
        config = of(kind, up.url, spare.url, own={"timeouts": {"first_token": 1, "live": 60}})
        answer = answer_of(await asked(config, attempts, sampling=Sampling(max_tokens=16_000)))
        assert len(up.calls) == 1
    assert (answer.model, answer.fallback_from, answer.content) == ("spare", "one", "Hello, world!")
    assert [a.outcome for a in attempts] == ["upstream_timeout", "ok"]


async def test_a_slow_but_active_answer_does_not_fall_back() -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Reply(text=["word "] * 8, pause=0.25))
        config = of("openai", up.url, spare.url, own={"timeouts": {"first_token": 1.5, "live": 60}})
        answer = answer_of(await asked(config))
        assert spare.calls == []
    assert answer.content == "word " * 8


@pytest.mark.parametrize("kind", list(SERVERS))
@pytest.mark.parametrize("fault", ["cut", "error"])
async def test_a_broken_answer_falls_back_and_is_charged(kind: str, fault: Any) -> None:
    async with SERVERS[kind]() as up, OpenAIUpstream() as spare:
        up.script(Reply(text=("one two three ", "four five six ", "seven"), fault=fault, after=2))
        attempts: list[ModelCall] = []
        events = await asked(of(kind, up.url, spare.url, retry={"attempts": 1}), attempts)
    answer = answer_of(events)
    assert answer.content == "Hello, world!"
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hello, world!"]
    broken, good = attempts
    assert (broken.outcome, good.outcome) == ("upstream_failed", "ok")
    assert broken.usage.completion_tokens >= 4
    assert broken.usage.prompt_tokens > 0
    assert broken.cost_usd > 0


async def test_a_disconnected_client_is_charged_for_output_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived = asyncio.Event()

    async def noting(events: AsyncGenerator[ProviderEvent, None]) -> AsyncGenerator[ProviderEvent, None]:
        async for event in iterate_cooperatively(events):
            yield event
            arrived.set()  # the assembler asks for the next event, so it has buffered this one

    monkeypatch.setattr(stream_assembler, "iterate_cooperatively", noting)
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Reply(text=("one two three ", "four"), gate=asyncio.Event(), gate_at=1))
        attempts: list[ModelCall] = []
        task = asyncio.create_task(asked(of("openai", up.url, spare.url), attempts))
        await asyncio.wait_for(arrived.wait(), 60)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.wait_for(up.calls[0].disconnected.wait(), 60)
    assert [(a.outcome, a.usage.completion_tokens) for a in attempts] == [("cancelled", 4)]


REFUSED_STREAM = {
    "message": "Your organization must be verified to stream this model.",
    "type": "invalid_request_error",
    "param": "stream",
    "code": "unsupported_value",
}


class WholeOnly(OpenAIUpstream):
    """Refuses streams, as OpenAI does to organizations that are not verified."""

    def refusal(self, call: ReceivedCall) -> Refusal | None:
        if not call.body.get("stream"):
            return None
        return Refusal(400, body=json.dumps({"error": REFUSED_STREAM}).encode())


async def test_an_upstream_that_rejects_streams_is_called_unstreamed_from_then_on() -> None:
    async with WholeOnly() as up, OpenAIUpstream() as spare:
        attempts: list[ModelCall] = []
        async with running_agent(of("openai", up.url, spare.url)) as agent:
            for _ in range(2):
                events = await run_turn(agent, make_turn(model="one", stream=False), attempts=attempts)
                assert answer_of(events).model == "one"
        assert [call.body["stream"] for call in up.calls] == [True, False, False]
        assert spare.calls == []
    assert [a.outcome for a in attempts] == ["ok", "ok"]


async def test_a_rejected_request_is_not_mistaken_for_a_rejected_stream() -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Refusal(400, "invalid_value"))
        events = await asked(of("openai", up.url, spare.url))
        assert len(up.calls) == 1
    assert isinstance(events[-1], TurnFailed)


async def test_a_server_that_ignores_stream_true_is_read_anyway() -> None:
    class Ignoring(OpenAIUpstream):
        def wants_stream(self, call: ReceivedCall) -> bool:
            return False

    async with Ignoring() as up, OpenAIUpstream() as spare:
        answer = answer_of(await asked(of("openai", up.url, spare.url)))
        assert up.calls[0].body["stream"] is True
    assert answer.content == "Hello, world!"


@pytest.mark.parametrize(
    "fields",
    [{"logprobs": True}, {"messages": (Message("user", (TextPart("Hi"), RawPart("file", {}))),)}],
)
async def test_a_call_without_alternatives_is_unstreamed(fields: dict[str, Any]) -> None:
    async with OpenAIUpstream() as up, AnthropicUpstream() as spare:
        config = of("openai", up.url, spare.url).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        config["providers"]["spare"] = {"type": "anthropic", "base_url": spare.url, "api_key": "k"}
        config["models"]["spare"]["model"] = "claude-haiku-4-5"
        await asked(Catalog.model_validate(config), **fields)
        assert [call.body["stream"] for call in up.calls] == [False]


async def test_the_last_model_of_a_chain_is_called_unstreamed() -> None:
    async with OpenAIUpstream() as up, OpenAIUpstream() as spare:
        up.script(Refusal(500))
        await asked(of("openai", up.url, spare.url, retry={"attempts": 1}))
        assert [call.body["stream"] for call in (*up.calls, *spare.calls)] == [True, False]


async def test_a_second_provider_of_the_model_is_an_alternative() -> None:
    async with OpenAIUpstream() as silent, OpenAIUpstream() as sound:
        silent.script(Silence())
        config = make_catalog(
            {"a": silent.url, "b": sound.url},
            models={"one": {"provider": ["a", "b"], "model": "v", "context_window": 4096}},
        ).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        config["providers"]["a"]["timeouts"] = {"first_token": 1}
        async with running_agent(Catalog.model_validate(config)) as agent:
            for _ in range(2):  # they take turns
                answer_of(await run_turn(agent, make_turn(model="one", stream=False)))
        assert len(silent.calls) == 1


async def test_a_silent_upstream_without_alternative_is_a_timeout() -> None:
    async with OpenAIUpstream() as up:
        up.script(Silence())
        config = of("openai", up.url, None, own={"timeouts": {"first_token": 0.5, "live": 1}})
        events = await asked(config)
        assert [call.body["stream"] for call in up.calls] == [False]
    last = events[-1]
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, UpstreamTimeout)
