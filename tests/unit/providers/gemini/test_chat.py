"""Gemini's API: unchanged schemas, and signatures that are sent back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.core.exceptions import UpstreamBroken, UpstreamError, UpstreamRateLimited, UpstreamRejected
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import parse_catalog
from gateway.domain.config.providers import ProviderConfig, Timeouts
from gateway.domain.events import Completed, ProviderEvent, TextDelta, ToolCallDelta
from gateway.domain.messages import Message, ToolCall, VendorData
from gateway.domain.requests import ChatRequest, Sampling, ToolChoice, ToolSpec
from gateway.providers.gemini.chat import GeminiChat
from gateway.providers.http.client import upstream_client
from gateway.providers.ollama.chat import OllamaChat
from tests.support.upstreams.gemini_server import GeminiUpstream, signature
from tests.support.upstreams.http_server import Raw, Reply, ScriptedToolCall
from tests.support.upstreams.ollama_server import OllamaUpstream

SHIPPED = "gemini-2.5-flash"
HELLO = (Message("user", "Say hello."),)
CLOCK = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})


@pytest.fixture
async def up() -> AsyncIterator[GeminiUpstream]:
    async with GeminiUpstream() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with upstream_client(trust_env=False) as client:
        yield client


def shipped() -> Catalog:
    return parse_catalog(Path("provider_config.yaml").read_text(), {})


def provider(up: GeminiUpstream, http: httpx.AsyncClient, **options: Any) -> GeminiChat:
    config = ProviderConfig(type="gemini", base_url=up.url, api_key="k", options=options)
    return GeminiChat("gemini", config, Timeouts(), http)


async def ask(it: GeminiChat, model: str = SHIPPED, **fields: Any) -> list[ProviderEvent]:
    return [e async for e in it.stream(ChatRequest(model, fields.pop("messages", HELLO), **fields))]


def of_calls(events: list[ProviderEvent]) -> tuple[ToolCall, ...]:
    firsts = [e for e in events if isinstance(e, ToolCallDelta) and e.id and e.name]
    return tuple(ToolCall(e.id or "", e.name or "", e.arguments, e.extra) for e in firsts)


SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {
            "where": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]+$"}},
                "required": ["city"],
            },
            "free": {"type": "object"},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            "either": {"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]},
            "both": {"allOf": [{"type": "object"}, {"required": ["x"]}]},
            "maybe": {"type": ["string", "null"], "default": None, "format": "date"},
            "level": {"type": "integer", "enum": [1, 2, 3]},
            "fixed": {"const": "a"},
        },
    },
    {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}},
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            }
        },
    },
]


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_schema_reaches_the_vendor_unchanged(
    up: GeminiUpstream, http: httpx.AsyncClient, schema: dict[str, Any], stream: bool
) -> None:
    await ask(provider(up, http), tools=(ToolSpec("f", "does", schema),), stream=stream)
    (tool,) = up.calls[0].body["tools"]
    assert tool == {
        "functionDeclarations": [{"name": "f", "description": "does", "parametersJsonSchema": schema}]
    }


async def test_the_tool_choice_is_translated(up: GeminiUpstream, http: httpx.AsyncClient) -> None:
    it = provider(up, http)
    for choice in (ToolChoice(), ToolChoice("none"), ToolChoice("required"), ToolChoice("function", "clock")):
        await ask(it, tools=(CLOCK,), tool_choice=choice)
    configs = [call.body.get("toolConfig", {}).get("functionCallingConfig") for call in up.calls]
    assert configs == [
        None,
        {"mode": "NONE"},
        {"mode": "ANY"},
        {"mode": "ANY", "allowedFunctionNames": ["clock"]},
    ]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["gemini-3-flash", "gemini-flash-latest"])
async def test_signatures_are_sent_back_byte_for_byte(
    up: GeminiUpstream, http: httpx.AsyncClient, model: str, stream: bool
) -> None:
    tools = [ScriptedToolCall("clock", ('{"a": 1}',)), ScriptedToolCall("clock", ('{"a": 2}',))]
    up.script(Reply(text=("Wait.",), reasoning=("Hm.",), tools=tools, finish="tool_calls"), Reply())
    it = provider(up, http)
    events = await ask(it, model, tools=(CLOCK,), stream=stream)
    calls = of_calls(events)
    signed = signature({"name": "clock", "args": {"a": 1}})
    assert [call.extra for call in calls] == [
        {"extra_content": {"google": {"thought_signature": signed}}},
        {},
    ]
    end = events[-1]
    assert isinstance(end, Completed)
    assert end.finish_reason == "tool_calls"
    assert end.vendor is not None
    assert end.vendor.type == "gemini"
    for vendor in (end.vendor, None):  # in the gateway; from a client, which sends the calls' fields back
        history = (
            *HELLO,
            Message("assistant", "Wait.", calls, vendor=vendor),
            *(Message("tool", "noon", tool_call_id=call.id) for call in calls),
        )
        assert isinstance((await ask(it, model, messages=history, tools=(CLOCK,)))[-1], Completed)
        model_parts = up.calls[-1].body["contents"][1]["parts"]
        made = [part for part in model_parts if "functionCall" in part]
        assert [part.get("thoughtSignature") for part in made] == [signed, None]
        results = up.calls[-1].body["contents"][2]["parts"]
        assert [part["functionResponse"]["name"] for part in results] == ["clock", "clock"]


@pytest.mark.parametrize("model", ["gemini-3-flash", "gemini-flash-latest"])
async def test_a_history_without_signatures_gets_the_placeholder(
    up: GeminiUpstream, http: httpx.AsyncClient, model: str
) -> None:
    foreign = VendorData("anthropic", "anthropic", "claude-haiku-4-5", content=[{"type": "thinking"}])
    calls = (ToolCall("a", "clock", "{}"), ToolCall("b", "clock", ""))
    history = (
        *HELLO,
        Message("assistant", "", calls, vendor=foreign),
        Message("tool", "noon", tool_call_id="a"),
        Message("tool", '{"time": "noon"}', tool_call_id="b"),
    )
    await ask(provider(up, http), model, messages=history)
    contents = up.calls[0].body["contents"]
    assert contents[1]["parts"] == [
        {
            "functionCall": {"name": "clock", "args": {}},
            "thoughtSignature": "skip_thought_signature_validator",
        },
        {"functionCall": {"name": "clock", "args": {}}},
    ]
    assert [part["functionResponse"]["response"] for part in contents[2]["parts"]] == [
        {"output": "noon"},
        {"time": "noon"},
    ]
    with pytest.raises(UpstreamRejected):
        await ask(provider(up, http, placeholder_signature=False), model, messages=history)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("IMAGE_SAFETY", "content_filter"),
        ("IMAGE_PROHIBITED_CONTENT", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("NO_IMAGE", "content_filter"),
        ("MAX_TOKENS", "length"),
        ("TOO_MANY_TOOL_CALLS", None),
        ("MALFORMED_RESPONSE", None),
        ("MISSING_THOUGHT_SIGNATURE", None),
    ],
)
async def test_the_vendors_finish_reason_is_used(
    up: GeminiUpstream, http: httpx.AsyncClient, word: str, finish: str | None, stream: bool
) -> None:
    part = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "index": 0, "finishReason": word}
    body = json.dumps({"candidates": [part]}).encode()
    up.script(Raw([b"data: " + body + b"\r\n\r\n"]) if stream else Raw([body], "application/json"))
    if finish is None:
        with pytest.raises(UpstreamBroken):
            await ask(provider(up, http), stream=stream)
        return
    end = (await ask(provider(up, http), stream=stream))[-1]
    assert isinstance(end, Completed)
    assert end.finish_reason == finish


@pytest.mark.parametrize("form", ["bom", "cr", "several data lines", "no last line break", "half a pair"])
async def test_every_legal_form_of_the_stream_is_parsed(
    up: GeminiUpstream, http: httpx.AsyncClient, form: str
) -> None:
    def piece(text: str, **more: Any) -> bytes:
        candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
        return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"

    data = piece("a\ud83d") + piece("\ude00", finishReason="STOP")
    if form == "bom":
        data = b"\xef\xbb\xbf" + data
    elif form == "cr":
        data = data.replace(b"\n", b"\r")
    elif form == "several data lines":
        data = data.replace(b'{"content"', b'\ndata: {"content"')
    elif form == "no last line break":
        data = data.rstrip(b"\n")
    up.script(Raw([data[:1], data[1:2], data[2:]]))
    events = await ask(provider(up, http))
    assert "".join(getattr(event, "text", "") for event in events) == "a😀"


async def test_a_request_that_the_sdk_cannot_encode_is_neither_the_vendors_nor_the_callers_error(
    http: httpx.AsyncClient,
) -> None:
    """The error is neither the vendor's nor the caller's fault, so another model may be called."""
    async with OllamaUpstream() as server:
        config = ProviderConfig(type="ollama", base_url=server.url)
        it = OllamaChat("ollama", config, Timeouts(), http)
        built = it.build_model("m")

        def fails(*args: object, **fields: object) -> None:
            raise ValueError("Streaming is required for operations that may take longer than 10 minutes")

        object.__setattr__(built, "ainvoke", fails)
        object.__setattr__(it, "build_model", lambda model: built)
        with pytest.raises(UpstreamError) as caught:
            [e async for e in it.stream(ChatRequest("m", HELLO, stream=False))]
    assert (caught.value.status, caught.value.code) == (502, "upstream_failed")
    assert "nothing was sent" in caught.value.message
    assert "Streaming" not in caught.value.message
    assert server.calls == []


async def test_null_parts_error_lists_and_the_done_marker_are_handled(
    up: GeminiUpstream, http: httpx.AsyncClient
) -> None:
    def candidate(parts: list[Any], **more: Any) -> bytes:
        body = {"candidates": [{"content": {"role": "model", "parts": parts}, **more}]}
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    good = candidate([{"text": None}, {"text": "Hi"}]) + candidate([], finishReason="STOP")
    up.script(Raw([good + b"data: [DONE]\n\n"], content_type="text/event-stream"))
    assert await ask(provider(up, http)) == [TextDelta("Hi"), Completed("stop")]
    error = [{"error": {"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED"}}]
    up.script(Raw([b"data: " + json.dumps(error).encode() + b"\n\n"], content_type="text/event-stream"))
    with pytest.raises(UpstreamRateLimited):
        await ask(provider(up, http))


@pytest.mark.parametrize(
    ("effort", "limit", "budget"),
    [
        ("low", None, 1024),
        ("medium", None, 8192),
        ("high", 4000, 2000),
        ("none", None, 0),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_reasoning_effort_becomes_the_budget_of_the_shipped_model(
    up: GeminiUpstream,
    http: httpx.AsyncClient,
    effort: str | None,
    limit: int | None,
    budget: int | None,
    stream: bool,
) -> None:
    model = shipped().models[SHIPPED]
    await ask(
        provider(up, http),
        extra={} if effort is None else {"reasoning_effort": effort},
        sampling=Sampling(max_tokens=limit),
        thinking_budgets=model.thinking_budgets,
        stream=stream,
    )
    thinking = up.calls[-1].body.get("generationConfig", {}).get("thinkingConfig", {})
    assert thinking.get("thinking_budget") == budget  # the vendor reads both spellings of its fields


async def test_an_effort_without_a_budget_is_rejected(up: GeminiUpstream, http: httpx.AsyncClient) -> None:
    asked = ChatRequest(SHIPPED, HELLO, extra={"reasoning_effort": "low"})
    refusal = provider(up, http).find_unsupported(asked)
    assert refusal is not None
    assert refusal.param == "reasoning_effort"
