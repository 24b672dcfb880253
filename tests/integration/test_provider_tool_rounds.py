"""Tool rounds with vendors that reject what the real ones reject."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import openai
import pytest
import yaml

from tests.support.gateway import Account, Gateway
from tests.support.paths import PROJECT
from tests.support.upstreams.anthropic_rules import signature
from tests.support.upstreams.anthropic_server import AnthropicUpstream
from tests.support.upstreams.gemini_server import GeminiUpstream
from tests.support.upstreams.http_server import Raw, Refusal, Reply, ScriptedToolCall, UpstreamServer
from tests.support.upstreams.openai_server import SIGNATURE, OpenAIUpstream

HELLO: list[Any] = [{"role": "user", "content": "What is it?"}]
LOOKUP: Any = {
    "type": "function",
    "function": {
        "name": "lookup",
        "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}},
    },
}
THOUGHT = "Hm — 시간?"
ASKS = Reply(
    text=(),
    reasoning=("Hm — ", "시간?"),
    tools=[ScriptedToolCall("lookup", ('{"q": 1}',), "toolu_1")],
    finish="tool_calls",
)


class Vendors:
    """Three vendors, each with a model that wants back what it wrote."""

    def __init__(self) -> None:
        self.deepseek, self.claude, self.gemini = OpenAIUpstream(), AnthropicUpstream(), GeminiUpstream()
        self.deepseek.wants_thoughts = self.deepseek.signs = True
        self.of: dict[str, UpstreamServer] = {
            "deepseek": self.deepseek,
            "claude": self.claude,
            "gemini": self.gemini,
        }


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    made = Vendors()
    async with made.deepseek, made.claude, made.gemini:
        yield made


@pytest.fixture
def gateway_config(vendors: Vendors) -> dict[str, Any]:
    """The shipped file with its providers at the stand-ins, and two models that think."""
    config = yaml.safe_load((PROJECT / "provider_config.yaml").read_text(encoding="utf-8"))
    del config["roles"]  # their files lie beside the shipped one
    for guard, mode in config["guardrails"]["api_keys"].items():
        config["guardrails"]["api_keys"][guard] = mode or "off"  # PyYAML reads `off` as false
    config["tiers"]["free"] = config["tiers"]["enterprise"]
    config["routing"]["rules"] = []
    config["providers"]["ollama"] = {"type": "ollama", "base_url": "http://127.0.0.1:1"}
    config["providers"]["anthropic"] |= {"base_url": vendors.claude.url, "api_key": "k"}
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    config["providers"] |= {
        "deepseek": {"type": "openai", "base_url": vendors.deepseek.url},
        "claude": {"type": "anthropic", "base_url": vendors.claude.url, "options": thinking},
        "google": {
            "type": "gemini",
            "base_url": vendors.gemini.url,
            "options": {"placeholder_signature": False},
        },
    }
    able = {"capabilities": ["tools", "json"], "context_window": 100_000, "max_output_tokens": 8000}
    config["models"] |= {
        "deepseek": {"provider": "deepseek", "model": "deepseek-v4", **able},
        "claude": {"provider": "claude", "model": "claude-sonnet-4-5", **able},
        "gemini": {"provider": "google", "model": "gemini-flash-latest", **able},
    }
    config["fallbacks"]["claude"] = ["deepseek"]
    config["circuit_breaker"] = {"failures": 100, "reset_seconds": 30}
    return config


@pytest.fixture
async def client(gateway: Gateway, person: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await gateway.create_api_key(person)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as made:
        yield made


async def message_of(client: openai.AsyncOpenAI, stream: bool, **fields: Any) -> dict[str, Any]:
    """The assistant's message as a client keeps it, all fields of it; of a stream, put together."""
    if not stream:
        done: Any = await client.chat.completions.create(**fields)
        return dict(done.choices[0].message.model_dump(exclude_none=True))
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    chunks: Any = await client.chat.completions.create(stream=True, **fields)
    async for chunk in chunks:
        delta = chunk.choices[0].delta.model_dump(exclude_none=True) if chunk.choices else {}
        for call in delta.pop("tool_calls", ()):
            kept = calls.setdefault(call.pop("index"), {"function": {"arguments": ""}})
            arguments = kept["function"]["arguments"] + call["function"].pop("arguments", "")
            kept |= {**call, "function": {**kept["function"], **call["function"], "arguments": arguments}}
        for name, value in delta.items():
            message[name] = message[name] + value if name in message and name != "role" else value
    return message | ({"tool_calls": list(calls.values())} if calls else {})


def rounds(message: dict[str, Any]) -> list[Any]:
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "forty-two"} for call in message["tool_calls"]
    ]
    return [*HELLO, message, *results]


async def test_a_client_that_sends_back_what_it_got_gets_its_answer(
    client: openai.AsyncOpenAI, vendors: Vendors
) -> None:
    for (model, up), stream in product(vendors.of.items(), (True, False)):
        up.script(ASKS, Reply(text=("It is 42.",)))
        asked = {"model": model, "tools": [LOOKUP]}
        message = await message_of(client, stream, messages=HELLO, **asked)
        assert message["reasoning_content"] == THOUGHT
        answer = await message_of(client, stream, messages=rounds(message), **asked)
        assert answer["content"] == "It is 42.", model
    (sent,) = [m for m in vendors.deepseek.calls[-1].body["messages"] if m["role"] == "assistant"]
    assert sent["reasoning_content"] == THOUGHT
    assert sent["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": SIGNATURE}}
    block = {"type": "thinking", "thinking": THOUGHT, "signature": signature(THOUGHT)}
    assert vendors.claude.calls[-1].body["messages"][1]["content"][0] == block
    assert vendors.claude.calls[-1].body["thinking"]["type"] == "enabled"
    assert "thoughtSignature" in vendors.gemini.calls[-1].raw.decode()


async def test_a_stored_response_ends_in_calls_and_goes_on_with_what_the_vendor_wants_back(
    client: openai.AsyncOpenAI, vendors: Vendors, gateway: Gateway, person: Account
) -> None:
    tools: Any = [{"type": "function", **LOOKUP["function"], "strict": False}]
    for model, up in vendors.of.items():
        up.script(ASKS, Reply(text=("It is 42.",)))
        first = await client.responses.create(model=model, input="What is it?", tools=tools)
        call = next(item for item in first.output if item.type == "function_call")
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "forty-two"}]
        second = await client.responses.create(
            model=model, input=result, tools=tools, previous_response_id=first.id
        )
        assert second.output_text == "It is 42.", model
    body = vendors.claude.calls[-1].body
    assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "tool_use"]
    pages = await gateway.http.get("/api/conversations", headers=person.headers)
    assert "signature" not in pages.text
    for page in pages.json()["items"]:
        shown = await gateway.http.get(f"/api/conversations/{page['id']}/messages", headers=person.headers)
        assert shown.status_code == 200
        assert not {"signature", "vendor", "extra_content"} & set(json.dumps(shown.json()).split('"'))


async def test_a_client_without_the_vendors_fields_gets_an_answer_without_thinking(
    client: openai.AsyncOpenAI, vendors: Vendors
) -> None:
    call = {"id": "call:1", "type": "function", "function": {"name": "lookup", "arguments": ""}}
    bare = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = await message_of(client, False, model="claude", tools=[LOOKUP], messages=rounds(bare))
    assert answer["content"] == "Hello, world!"
    assert "thinking" not in vendors.claude.calls[-1].body


async def test_unknown_fields_of_messages_parts_calls_and_tools_reach_a_compatible_server(
    client: openai.AsyncOpenAI, vendors: Vendors
) -> None:
    vendors.deepseek.wants_thoughts = vendors.deepseek.signs = False
    mark = {"type": "ephemeral"}
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "lookup", "arguments": "", "note": "n"},
        "extra_content": {"x": [1]},
    }
    messages: list[Any] = [
        {"role": "system", "content": [{"type": "text", "text": "Rules.", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": mark}], "weight": 2},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call],
            "reasoning_content": "hm",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "aa=="}],
            "annotations": [{"type": "url_citation"}],
            "refusal": None,
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]
    schema = {"name": "shape", "description": "What it is.", "schema": {"type": "object"}}
    await message_of(
        client,
        True,
        model="deepseek",
        messages=messages,
        tools=[{**LOOKUP, "cache_control": mark}],
        response_format={"type": "json_schema", "json_schema": schema},
        prompt_cache_key="room-7",
        safety_identifier="u1",
        extra_body={"prompt_cache_retention": "24h"},
    )
    body = vendors.deepseek.calls[-1].body
    expected = [dict(message) for message in messages]
    expected[2] = {k: v for k, v in messages[2].items() if k not in ("annotations", "refusal")}
    expected[2]["tool_calls"] = [{**call, "function": {"name": "lookup", "arguments": "{}", "note": "n"}}]
    assert body["messages"] == expected
    assert body["tools"][0]["cache_control"] == mark
    assert body["response_format"]["json_schema"] == schema
    assert (body["prompt_cache_key"], body["safety_identifier"]) == ("room-7", "u1")
    assert body["prompt_cache_retention"] == "24h"


@pytest.mark.parametrize("stream", [True, False])
async def test_sources_of_an_answer_reach_the_client(
    client: openai.AsyncOpenAI, vendors: Vendors, stream: bool
) -> None:
    source = {"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "Example"}}
    said = {"role": "assistant", "content": "Hi", "annotations": [source]}
    choice = {"index": 0, "finish_reason": "stop", "delta" if stream else "message": said}
    body = json.dumps({"choices": [choice], "citations": ["https://example.com"]}).encode()
    vendors.deepseek.script(Raw([b"data: " + body]) if stream else Raw([body], "application/json"))
    message = await message_of(client, stream, model="deepseek", messages=HELLO)
    assert message["annotations"] == [source]
    assert message["citations"] == ["https://example.com"]


# The shipped file with nothing but a key of Anthropic.


async def test_the_shipped_names_answer_whole_streamed_and_with_tools(
    client: openai.AsyncOpenAI, vendors: Vendors
) -> None:
    for model in ("claude-haiku-4-5", "claude-sonnet-4-5", "auto", "fast", "high-reasoning"):
        vendors.claude.script(Reply())
        for stream in (False, True):
            answer = await message_of(client, stream, model=model, messages=HELLO)
            assert answer["content"] == "Hello, world!", model
        vendors.claude.script(ASKS, Reply(text=("It is 42.",)))
        asked = await message_of(client, False, model=model, messages=HELLO, tools=[LOOKUP])
        answer = await message_of(client, True, model=model, messages=rounds(asked), tools=[LOOKUP])
        assert answer["content"] == "It is 42.", model
    assert {call.body["max_tokens"] for call in vendors.claude.calls} == {64000}


async def test_a_persons_chat_is_answered_by_claude(
    gateway: Gateway, person: Account, vendors: Vendors
) -> None:
    vendors.claude.script(
        Reply(
            text=(),
            tools=[ScriptedToolCall("calculator", ('{"expression": "6*7"}',), "toolu_1")],
            finish="tool_calls",
        ),
        Reply(text=("It is 42.",)),
    )
    body = {"message": "What is 6*7?", "model": "claude-haiku-4-5"}
    answer = await gateway.http.post("/api/chat", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"]["content"] == "It is 42."


async def test_what_a_vendor_refuses_is_a_400_that_names_the_parameter(client: openai.AsyncOpenAI) -> None:
    for fields, param in (({"temperature": 0.3, "top_p": 0.4}, "top_p"), ({"stop": ["\n"]}, "stop")):
        with pytest.raises(openai.BadRequestError) as caught:
            await message_of(client, False, model="claude-haiku-4-5", messages=HELLO, **fields)
        assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)


async def test_a_fallback_after_a_round_gets_nothing_of_the_first_vendor(
    client: openai.AsyncOpenAI, vendors: Vendors
) -> None:
    vendors.deepseek.wants_thoughts = vendors.deepseek.signs = False
    vendors.claude.script(
        Reply(
            text=(),
            reasoning=("",),
            tools=[ScriptedToolCall("calculator", ('{"expression": "1"}',), "t")],
            finish="tool_calls",
        ),
        Refusal(500),
    )
    answer = await message_of(
        client, False, model="claude", messages=HELLO, extra_body={"gateway": {"tools": ["calculator"]}}
    )
    assert answer["content"] == "Hello, world!"
    assert "ignature" not in vendors.deepseek.calls[-1].raw.decode()
