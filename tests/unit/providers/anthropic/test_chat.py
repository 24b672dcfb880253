"""Anthropic's API, against a fake server that rejects what the vendor rejects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.exceptions import UnsupportedParameter, UpstreamBroken, UpstreamRejected
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import parse_catalog
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import (
    Completed,
    MessageFields,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from gateway.domain.messages import ImagePart, Message, TextPart, ToolCall, VendorData
from gateway.domain.money import Usage
from gateway.domain.requests import ChatRequest, ResponseFormat, Sampling, ToolChoice, ToolSpec
from gateway.providers.anthropic.chat import AnthropicChat
from gateway.providers.http.client import upstream_client
from tests.support.upstreams.anthropic_rules import signature
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.http_server import Raw, Reply, ScriptedToolCall

CLAUDES = ("claude-haiku-4-5", "claude-sonnet-4-5")
HELLO = (Message("user", "Say hello."),)
CLOCK = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
ASKED = (
    *HELLO,
    Message("assistant", "", (ToolCall("call_1", "clock", "{}"),)),
    Message("tool", "noon", tool_call_id="call_1"),
)


@pytest.fixture
async def up() -> AsyncIterator[AnthropicUpstream]:
    async with AnthropicUpstream() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def shipped() -> Catalog:
    return parse_catalog(Path("provider_config.yaml").read_text(), {})


def provider(up: AnthropicUpstream, http: httpx.AsyncClient, **options: Any) -> AnthropicChat:
    config = ProviderConfig(type="anthropic", base_url=up.url, api_key="k", options=options)
    return AnthropicChat("anthropic", config, Timeouts(), http)


def question(model: str = "claude-haiku-4-5", **fields: Any) -> ChatRequest:
    return ChatRequest(model, fields.pop("messages", HELLO), **fields)


async def ask(it: AnthropicChat, request: ChatRequest) -> list[ProviderEvent]:
    return [event async for event in it.stream(request)]


async def sent(up: AnthropicUpstream, http: httpx.AsyncClient, options: Any = None, **fields: Any) -> Any:
    """Return the request body for these fields, after the server has accepted it."""
    await ask(provider(up, http, **(options or {})), question(**fields))
    return up.calls[-1].body


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", CLAUDES)
async def test_the_shipped_models_answer_streamed_and_not(
    up: AnthropicUpstream, http: httpx.AsyncClient, name: str, stream: bool
) -> None:
    model = shipped().models[name]
    request = question(
        model.model,
        stream=stream,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
    )
    events = await ask(provider(up, http), request)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello, world!"
    assert events[-1] == Completed("stop", Usage(11, 4))
    assert up.calls[0].body["max_tokens"] == 64000
    assert up.calls[0].headers["anthropic-version"] == "2023-06-01"
    assert up.calls[0].headers["x-api-key"] == "k"


async def test_a_large_token_limit_is_sent(up: AnthropicUpstream, http: httpx.AsyncClient) -> None:
    body = await sent(up, http, stream=False, sampling=Sampling(max_tokens=50_000))
    assert body["max_tokens"] == 50_000


@pytest.mark.parametrize(
    ("options", "fields", "limit"),
    [
        ({}, {}, 4096),
        ({"max_tokens": 9000}, {"max_output_tokens": 64000}, 9000),
        ({"max_tokens": 9000}, {"sampling": Sampling(max_tokens=7)}, 7),
        ({}, {"max_output_tokens": 64000, "context_window": 200_000}, 64000),
    ],
)
async def test_max_tokens_is_the_requests_the_configurations_or_the_models(
    up: AnthropicUpstream, http: httpx.AsyncClient, options: Any, fields: Any, limit: int
) -> None:
    assert (await sent(up, http, options, **fields))["max_tokens"] == limit


async def test_max_tokens_fits_the_context_window_with_a_long_prompt(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    long = (Message("user", "word " * 100_000),)  # about 125,000 tokens
    body = await sent(up, http, messages=long, max_output_tokens=64000, context_window=200_000)
    assert 4096 <= body["max_tokens"] < 64000


async def test_earlier_counts_remain_if_the_last_event_has_none(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    await ask(provider(up, http), question())
    content, end = up.frames(Reply(usage=(11, 4)), up.calls[0])
    last = end[0].replace(b'"input_tokens": 11, ', b"")
    assert last != end[0]
    up.script(Raw([*content, last, end[1]]))
    assert (await ask(provider(up, http), question()))[-1] == Completed("stop", Usage(11, 4))


# Thinking.


@pytest.mark.parametrize("stream", [True, False])
async def test_thinking_blocks_are_sent_back_byte_for_byte(
    up: AnthropicUpstream, http: httpx.AsyncClient, stream: bool
) -> None:
    up.redacted = "c2VjcmV0"
    thought = "Hm — 시간, \u2028 “quoted” \\n?"
    up.script(
        Reply(
            reasoning=(thought[:3], thought[3:]),
            text=("Wait.",),
            tools=[ScriptedToolCall("clock", ("{}",), id="toolu_1")],
            finish="tool_calls",
        ),
        Reply(),
    )
    it = provider(up, http, **THINKING)
    events = await ask(it, question(tools=(CLOCK,), stream=stream))
    blocks = [
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "thinking", "thinking": thought, "signature": signature(thought)},
    ]
    shown = [b for e in events if isinstance(e, MessageFields) for b in e.fields["thinking_blocks"]]
    assert shown == blocks
    end = events[-1]
    assert isinstance(end, Completed)
    assert end.vendor is not None
    assert (end.vendor.type, end.vendor.provider, end.vendor.model) == (
        "anthropic",
        "anthropic",
        "claude-haiku-4-5",
    )
    assert end.vendor.fields == {"thinking_blocks": blocks}
    calls = (ToolCall("toolu_1", "clock", "{}"),)
    for vendor in (end.vendor, VendorData(fields=end.vendor.fields)):  # in the gateway, and from a client
        history = (
            *HELLO,
            Message("assistant", "Wait.", calls, vendor=vendor),
            Message("tool", "noon", tool_call_id="toolu_1"),
        )
        assert (await ask(it, question(messages=history, tools=(CLOCK,))))[-1] == Completed(
            "stop", Usage(11, 4)
        )
        body = up.calls[-1].body
        assert body["thinking"] == THINKING["thinking"]
        assert body["messages"][1]["content"] == [
            *blocks,
            {"type": "text", "text": "Wait."},
            {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}},
        ]


async def test_the_order_of_interleaved_thinking_is_preserved(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    content = [
        {"type": "thinking", "thinking": "one", "signature": signature("one")},
        {"type": "text", "text": "First."},
        {"type": "thinking", "thinking": "two", "signature": signature("two")},
        {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {"a": [1, 2.5]}},
    ]
    answer = {"type": "message", "content": content, "stop_reason": "tool_use", "usage": {}}
    up.script(Raw([json.dumps(answer).encode()], content_type="application/json"), Reply())
    it = provider(up, http, **THINKING)
    end = (await ask(it, question(stream=False)))[-1]
    assert isinstance(end, Completed)
    calls = (ToolCall("toolu_1", "clock", '{"a":[1,2.5]}'),)
    history = (
        *HELLO,
        Message("assistant", "First.", calls, vendor=end.vendor),
        Message("tool", "noon", tool_call_id="toolu_1"),
    )
    assert (await sent(up, http, THINKING, messages=history))["messages"][1]["content"] == content


async def test_thinking_of_another_vendor_is_not_sent(up: AnthropicUpstream, http: httpx.AsyncClient) -> None:
    foreign = VendorData("openai", "deepseek", "v4", {"reasoning_content": "hm", "thinking_blocks": [{}]})
    history = (HELLO[0], Message("assistant", "", ASKED[1].tool_calls, vendor=foreign), ASKED[2])
    body = await sent(up, http, messages=history)
    assert "hm" not in json.dumps(body)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({}, 2048),
        ({"sampling": Sampling(temperature=0.0, max_tokens=4000)}, 2048),
        ({"sampling": Sampling(top_p=0.5, max_tokens=4000)}, 2048),
        ({"sampling": Sampling(max_tokens=2048)}, 1024),
        ({"sampling": Sampling(temperature=0.0, max_tokens=30)}, None),
        ({"tools": (CLOCK,), "tool_choice": ToolChoice("required")}, None),
        ({"tools": (CLOCK,), "tool_choice": ToolChoice("function", "clock")}, None),
        ({"messages": ASKED, "tools": (CLOCK,)}, None),
        ({"messages": (*ASKED, Message("assistant", "Noon."), *HELLO)}, 2048),
    ],
)
async def test_the_request_is_adapted_to_thinking(
    up: AnthropicUpstream, http: httpx.AsyncClient, fields: Any, budget: int | None
) -> None:
    body = await sent(up, http, {**THINKING, "top_k": 5}, max_output_tokens=64000, **fields)
    assert body.get("thinking", {}).get("budget_tokens") == budget
    if budget is None and "sampling" in fields:
        assert body["temperature"] == 0.0


async def test_adaptive_thinking_needs_no_earlier_thinking_blocks(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    body = await sent(up, http, {"thinking": {"type": "adaptive"}}, messages=ASKED, sampling=Sampling(0.3))
    assert body["thinking"] == {"type": "adaptive"}
    assert "temperature" not in body


# What the vendor rejects.


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        (Sampling(temperature=0.5, top_p=0.9), "top_p"),
        (Sampling(temperature=0.0, top_p=0.0), "top_p"),
        (Sampling(stop=("\n",)), "stop"),
        (Sampling(stop=("END", " \t")), "stop"),
        (Sampling(stop=("",)), "stop"),
    ],
)
@pytest.mark.parametrize("name", CLAUDES)
async def test_an_unsupported_parameter_is_reported_by_name(
    up: AnthropicUpstream, http: httpx.AsyncClient, sampling: Sampling, param: str, name: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        await ask(provider(up, http), question(name, sampling=sampling))
    assert caught.value.param == param
    assert up.calls == []


async def test_a_top_p_of_one_is_ignored(up: AnthropicUpstream, http: httpx.AsyncClient) -> None:
    body = await sent(up, http, sampling=Sampling(temperature=1.0, top_p=1.0))
    assert body["temperature"] == 1.0
    assert "top_p" not in body
    body = await sent(up, http, {"temperature": 0.2}, sampling=Sampling(top_p=0.5))
    assert (body["top_p"], "temperature" in body) == (0.5, False)


async def test_empty_texts_foreign_ids_and_a_prefill_are_sanitized(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    calls = (ToolCall("functions.clock:0", "clock", ""), ToolCall("b|1", "clock", "broken {"))
    history = (
        Message("user", (TextPart(""), TextPart("Time?"))),
        Message("assistant", " ", calls),
        Message("tool", "noon", tool_call_id="functions.clock:0"),
        Message("tool", "", tool_call_id="b|1"),
        Message("user", "And now?"),
        Message("assistant", "It is "),
    )
    body = await sent(up, http, messages=history, tools=(CLOCK,))
    assert body["messages"] == [
        {"role": "user", "content": "Time?"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "functions_clock_0", "name": "clock", "input": {}},
                {"type": "tool_use", "id": "b_1", "name": "clock", "input": {"arguments": "broken {"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "functions_clock_0", "content": "noon"},
                {"type": "tool_result", "tool_use_id": "b_1"},
                {"type": "text", "text": "And now?"},
            ],
        },
        {"role": "assistant", "content": "It is"},
    ]


async def test_a_rejection_of_the_vendor_has_its_message(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    orphan = (Message("user", "Hi"), Message("tool", "42", tool_call_id="c9"))
    with pytest.raises(UpstreamRejected):
        await ask(provider(up, http), question(messages=orphan))
    assert len(up.calls) == 1


# The rest of the body.


async def test_cache_control_marks_reach_the_vendor(up: AnthropicUpstream, http: httpx.AsyncClient) -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    png = "data:image/png;base64,iVBORw0KGgoAAAA"
    history = (
        Message("system", (TextPart("Rules.", {"cache_control": mark}),)),
        Message("user", (TextPart("Look.", {"other": 1}), ImagePart(png, extra={"cache_control": mark}))),
        ASKED[1],
        Message("tool", (TextPart("noon", {"cache_control": mark}),), tool_call_id="call_1"),
    )
    tool = ToolSpec("clock", "", {"type": "object", "properties": {}}, extra={"cache_control": mark})
    body = await sent(up, http, messages=history, tools=(tool,))
    assert body["system"] == [{"type": "text", "text": "Rules.", "cache_control": mark}]
    look, image = body["messages"][0]["content"]
    assert look == {"type": "text", "text": "Look."}
    assert (image["source"]["media_type"], image["cache_control"]) == ("image/png", mark)
    result = body["messages"][2]["content"][0]
    assert (result["content"], result["cache_control"]) == ("noon", mark)
    assert body["tools"][0]["cache_control"] == mark


async def test_a_schema_is_converted_for_structured_outputs(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "who": {"$ref": "#/$defs/who"},
            "kind": {"enum": [1, 2]},
            "list": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            },
        },
        "required": ["n"],
        "$defs": {"who": {"type": "object", "properties": {"mail": {"type": "string", "format": "email"}}}},
    }
    body = await sent(
        up,
        http,
        {"output_config": {"effort": "low"}},
        response_format=ResponseFormat("json_schema", "x", schema),
    )
    assert body["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "description": "{minimum: 1}"},
                    "who": {"$ref": "#/$defs/who"},
                    "kind": {"enum": [1, 2]},
                    "list": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                        "minItems": 1,
                    },
                },
                "additionalProperties": False,
                "required": ["n"],
                "$defs": {
                    "who": {
                        "type": "object",
                        "properties": {"mail": {"type": "string", "format": "email"}},
                        "additionalProperties": False,
                    }
                },
            },
        },
    }


async def test_headers_and_betas_of_the_options_are_sent(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    await sent(up, http, {"headers": {"X-Team": "red"}, "betas": ["one", "two"]})
    assert up.calls[0].headers["x-team"] == "red"
    assert up.calls[0].headers["anthropic-beta"] == "one,two"
    assert not {"headers", "betas"} & up.calls[0].body.keys()
    with pytest.raises(ValueError, match="header"):
        provider(up, http, headers={"x-team": "a\r\nb"})


@pytest.mark.parametrize("stream", [True, False])
async def test_a_call_without_arguments_has_an_empty_object(
    up: AnthropicUpstream, http: httpx.AsyncClient, stream: bool
) -> None:
    tools = [ScriptedToolCall("clock", ("{}",) if not stream else ("",), id="toolu_1")]
    up.script(Reply(text=(), tools=tools, finish="tool_calls"))
    events = await ask(provider(up, http), question(tools=(CLOCK,), stream=stream))
    assert "".join(e.arguments for e in events if isinstance(e, ToolCallDelta)) == "{}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "error", "error": {"type": "overloaded_error"}}',
        b'{"type": "message", "content": {}, "stop_reason": "end_turn"}',
        b'{"type": "message", "content": [{"type": "text"}], "stop_reason": "end_turn"}',
        b'{"type": "message", "content": [], "stop_reason": null}',
        b'{"type": "message", "content": [{"type": "tool_use", "id": 5, "name": 6}], "stop_reason": "x"}',
    ],
)
async def test_a_malformed_response_is_broken(
    up: AnthropicUpstream, http: httpx.AsyncClient, body: bytes
) -> None:
    up.script(Raw([body], content_type="application/json"))
    with pytest.raises(UpstreamBroken):
        await ask(provider(up, http), question(stream=False))


def of_shipped(name: str, **fields: Any) -> ChatRequest:
    """Return a request to a shipped model with its configured limits."""
    model = shipped().models[name]
    return question(
        model.model,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        thinking_budgets=model.thinking_budgets,
        **fields,
    )


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", CLAUDES)
@pytest.mark.parametrize(
    ("effort", "budget"),
    [("minimal", 1024), ("low", 1024), ("medium", 8192), ("high", 24576), ("none", None)],
)
async def test_reasoning_effort_becomes_the_budget_of_a_shipped_model(
    up: AnthropicUpstream,
    http: httpx.AsyncClient,
    name: str,
    effort: str,
    budget: int | None,
    stream: bool,
) -> None:
    up.script(Reply(reasoning=("I ", "think.")))
    it, asked = (
        provider(up, http),
        of_shipped(name, extra={"reasoning_effort": effort}, stream=stream),
    )
    assert it.find_unsupported(asked) is None
    events = await ask(it, asked)
    body = up.calls[-1].body
    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert body["max_tokens"] == 64_000
    assert "reasoning_effort" not in body
    assert "".join(e.text for e in events if isinstance(e, ReasoningDelta)) == "I think."


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        ({"sampling": Sampling(temperature=0.2)}, 8192),  # not accepted together with thinking
        ({"sampling": Sampling(top_p=0.5)}, 8192),
        ({"sampling": Sampling(max_tokens=9000)}, 8192),
        ({"sampling": Sampling(max_tokens=8192)}, 4096),  # the limit must exceed the budget
        ({"sampling": Sampling(max_tokens=2000)}, None),
        ({"tools": (CLOCK,), "tool_choice": ToolChoice("required")}, None),
        ({"tools": (CLOCK,), "tool_choice": ToolChoice("function", "clock")}, None),
        ({"tools": (CLOCK,)}, 8192),
        ({"tools": (CLOCK,), "messages": ASKED}, None),  # its tool calls have no thinking blocks
    ],
)
async def test_reasoning_effort_is_adapted_to_the_vendors_rules(
    up: AnthropicUpstream, http: httpx.AsyncClient, fields: dict[str, Any], budget: int | None
) -> None:
    asked = of_shipped("claude-sonnet-4-5", extra={"reasoning_effort": "medium"}, **fields)
    await ask(provider(up, http), asked)
    assert up.calls[-1].body.get("thinking", {}).get("budget_tokens") == budget


async def test_reasoning_effort_takes_precedence_over_configured_thinking(
    up: AnthropicUpstream, http: httpx.AsyncClient
) -> None:
    it = provider(up, http, **THINKING)
    await ask(it, of_shipped("claude-haiku-4-5", extra={"reasoning_effort": "none"}))
    await ask(it, of_shipped("claude-haiku-4-5", extra={"reasoning_effort": "low"}))
    await ask(it, of_shipped("claude-haiku-4-5"))
    budgets = [call.body.get("thinking", {}).get("budget_tokens") for call in up.calls]
    assert budgets == [None, 1024, 2048]


@pytest.mark.parametrize("effort", ["extreme", 3, ["low"], {}])
async def test_an_effort_without_a_budget_is_rejected_by_name(
    up: AnthropicUpstream, http: httpx.AsyncClient, effort: Any
) -> None:
    it = provider(up, http)
    refusal = it.find_unsupported(of_shipped("claude-haiku-4-5", extra={"reasoning_effort": effort}))
    assert refusal is not None
    assert (refusal.param, "minimal, low, medium, high" in refusal.message) == ("reasoning_effort", True)
    unable = it.find_unsupported(question(extra={"reasoning_effort": "low"}))
    assert unable is not None
    assert unable.param == "reasoning_effort"
